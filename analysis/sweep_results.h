// What the store knows of one sweep's results, read once through its views: the value that tables, figures and reports
// are made of.
//
// Only finished jobs count. A row is one experiment: the cells that differ in nothing but seeds. Values own everything;
// the store may be closed after the reading.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/database.h"

namespace mestre {

/// How the finished attempt of a job was carried out.
struct Provenance {
  std::string job;   // id
  std::string kind;  // "train", "evaluate"
  std::string name;  // what the sweep calls the job
  std::string cell;  // the first one that it belongs to
  std::int64_t attempt = 0;
  std::string commit;
  bool dirty = false;
  std::string host;
  std::string devices;    // "cpu", "NVIDIA H200, NVIDIA H200"
  std::string versions;   // "mestre 0.1.0, torch 2.11.0"
  double started_at = 0;  // s since the epoch
  double ended_at = 0;
};

/// One cell of the grid; of what is not finished there is nothing.
struct CellResults {
  std::string name;                 // "architecture=Samba,seed=3407"
  std::vector<std::string> labels;  // one per axis of the sweep; empty where the axis does not exist for this cell
  std::string state;                // 'queued', 'running', 'done', 'failed'
  std::string cause;                // why it failed
  std::string train_job;            // id
  double tokens_per_step = 0;
  std::optional<std::int64_t> parameters;
  std::optional<double> tokens_per_second;  // of the training, as the worker summed it up
  std::optional<double> final_loss;         // of the training, nats per token
  std::vector<std::string> unfair;          // what makes the comparison with its baseline unfair, a phrase each
  /// Perplexity by the name of the evaluation and the context length in tokens.
  std::map<std::pair<std::string, std::int64_t>, double> perplexity;
};

struct SweepRow {
  std::vector<std::string> labels;  // one per row axis
  std::string title;                // "Samba", "Samba, length=4096"
  bool baseline = false;
  std::vector<std::size_t> cells;   // indices, one per repetition
  std::vector<std::string> unfair;  // of its cells, each phrase once; and training by other code than the baseline's
};

/// A perplexity evaluation that the sweep asks for, and the lengths that it asks for or that were measured.
struct EvaluationResults {
  std::string name;
  std::vector<std::int64_t> lengths;  // tokens, ascending
};

struct SweepResults {
  std::string name;
  std::string question;
  std::string file;  // as it was named on the command line
  std::vector<std::string> axes;
  std::vector<std::size_t> row_axes;  // indices of the axes that vary more than seeds
  std::vector<CellResults> cells;     // in the order of the grid
  std::vector<SweepRow> rows;         // in the order of their first cells
  std::vector<EvaluationResults> evaluations;
  std::vector<Provenance> provenance;  // of the finished jobs, in the order of their cells

  /// Cells whose jobs are not all done.
  [[nodiscard]] std::vector<const CellResults*> unfinished() const;
};

/// Throws Error (not_found) where the store has no such sweep; the hint lists those that it has.
[[nodiscard]] SweepResults read_sweep(Database& database, const std::string& sweep);

/// One curve of one finished training job.
struct Curve {
  std::vector<double> steps;
  std::vector<double> values;  // NaN where it was not finite
};
/// The curves of this name of all finished training jobs of a sweep, by job id.
[[nodiscard]] std::map<std::string, Curve> read_curves(Database& database, const std::string& sweep,
                                                       const std::string& name);

}  // namespace mestre
