#include "core/plan/option_list.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace mestre {
namespace {

class Lister final : public OptionVisitor {
 public:
  Lister(const std::string& prefix, OptionList& out) : prefix_(prefix), out_(out) {}
  void visit(const Field& field, bool& value) override { put(field, value ? "true" : "false"); }
  void visit(const Field& field, std::int64_t& value) override { put(field, std::to_string(value)); }
  void visit(const Field& field, double& value) override { put(field, shortest(value)); }
  void visit(const Field& field, std::string& value) override { put(field, value.empty() ? "none" : value); }
  void visit(const Field& field, std::vector<std::int64_t>& value) override {
    put(field, fmt::format("[{}]", fmt::join(value, ", ")));
  }
  void visit(const Field& field, std::vector<std::string>& value) override {
    put(field, fmt::format("[{}]", fmt::join(value, ", ")));
  }

 private:
  void put(const Field& field, std::string value) {
    out_.emplace_back(prefix_ + std::string(field.name), std::move(value));
  }
  const std::string& prefix_;
  OptionList& out_;
};

}  // namespace

void list_options(const Options& options, const std::string& prefix, OptionList& out) {
  Lister lister(prefix, out);
  // The lister does not write through the reference (the contract of OptionVisitor).
  const_cast<Options&>(options).describe(lister);
}

void list_options(const ModelSpec& model, OptionList& out) {
  list_options(model.options, "model.", out);
  for (const auto& [name, mixer] : model.instances) {
    out.emplace_back("model." + name + ".type", mixer->type());
    list_options(*mixer, "model." + name + ".", out);
  }
}

}  // namespace mestre
