#include "core/data/pack_sources.h"

#include <algorithm>
#include <thread>

#include "core/base/error.h"
#include "core/data/unit_encoder.h"
#include "core/data/unit_reader.h"

namespace mestre {
namespace {

constexpr std::size_t kReadAhead = std::size_t{4} << 20, kLeastReadAhead = 4 * kReadAhead,
                      kMostReadAhead = 48 * kReadAhead;

int threads_of(const PackPace& pace) {
  return pace.threads > 0 ? pace.threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

std::size_t read_ahead_of(const PackPace& pace) {
  if (pace.read_ahead > 0) return pace.read_ahead;
  return std::clamp(kReadAhead * static_cast<std::size_t>(threads_of(pace)), kLeastReadAhead, kMostReadAhead);
}

}  // namespace

SourcePacker::SourcePacker(const SourceList& sources, const Tokenizer& tokenizer, const PackSettings& settings,
                           const PrepareStamp& stamp, const fs::path& folder)
    : sources_(sources), tokenizer_(tokenizer), settings_(settings) {
  // Where a source may have changed unnoticed since the listing, its digest says too little to carry on by.
  if (stamp.is_conclusive()) journal_.emplace(folder, stamp);
  open_writers(folder);
  text_before_ = checkpoint_text_ = state_.tally.text_bytes;
}

void SourcePacker::open_writers(const fs::path& folder) {
  if (journal_ && journal_->last()) {
    try {
      const PackCheckpoint& last = *journal_->last();
      train_ = std::make_unique<PackWriter>(folder, "train", last.train);
      if (settings_.holdout > 0) validation_ = std::make_unique<PackWriter>(folder, "validation", last.validation);
      state_ = last;
      return;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kDataCorrupt && error.code() != ErrorCode::kNotFound) throw;
    }
  }
  for (const char* name : {"train.bin", "validation.bin"}) fs::remove(folder / name);
  train_ = std::make_unique<PackWriter>(folder, "train");
  if (settings_.holdout > 0) validation_ = std::make_unique<PackWriter>(folder, "validation");
}

void SourcePacker::run(const std::function<void(const PackProgress&)>& progress) {
  UnitReader reader(sources_, tokenizer_, state_.position);
  mestre::run({.read = [&] { return reader.next(); },
               .make_encoder =
                   [&] {
                     auto encoder = std::make_shared<UnitEncoder>(sources_, tokenizer_.clone(), settings_.text_key,
                                                                  settings_.holdout);
                     return [encoder](TextUnit unit) { return encoder->encode(std::move(unit)); };
                   },
               .write =
                   [&](EncodedUnit unit) {
                     write(std::move(unit));
                     if (progress)
                       progress({.done = state_.source_bytes,
                                 .total = sources_.bytes,
                                 .text = state_.tally.text_bytes - text_before_});
                   },
               .threads = threads_of(settings_.pace),
               .read_ahead = read_ahead_of(settings_.pace)});
}

void SourcePacker::write(EncodedUnit unit) {
  train_->write(unit.train.tokens, unit.train.documents);
  if (validation_) validation_->write(unit.validation.tokens, unit.validation.documents);
  state_.position = unit.next;
  state_.source_bytes = unit.source_bytes;
  add(state_.tally, unit.tally);
  add(state_.skipped, unit.skipped);
  add(state_.bad, unit.bad);
  if (journal_ && state_.tally.text_bytes - checkpoint_text_ >= settings_.pace.sync_every) checkpoint();
}

void SourcePacker::checkpoint() {
  state_.train = train_->sync();
  if (validation_) state_.validation = validation_->sync();
  journal_->append(state_);
  checkpoint_text_ = state_.tally.text_bytes;
}

}  // namespace mestre
