#include "core/spec/parameter_role.h"

namespace mestre {
namespace {

// "layers.3.norm.weight" to "layers.3.norm" and "weight".
std::string_view cut_last(std::string_view& name) {
  const std::size_t dot = name.rfind('.');
  const std::string_view last = dot == std::string_view::npos ? name : name.substr(dot + 1);
  name = dot == std::string_view::npos ? std::string_view() : name.substr(0, dot);
  return last;
}

}  // namespace

std::string_view parameter_role(std::string_view name) {
  const std::string_view last = cut_last(name);
  if (last == "A_log" || last == "D") return "ssm";
  if (last == "bias") return "bias";
  if (last != "weight") return "vector";
  const std::string_view owner = cut_last(name);
  if (owner == "embedding" || owner == "head") return owner;
  if (owner.ends_with("norm")) return "norm";
  return owner.ends_with("conv1d") ? "convolution" : "matrix";
}

const std::vector<std::string_view>& parameter_roles() {
  static const std::vector<std::string_view> kRoles = {"embedding", "head", "matrix", "convolution",
                                                       "norm",      "bias", "ssm",    "vector"};
  return kRoles;
}

}  // namespace mestre
