#include "core/model/parameter.h"

#include <utility>

#include <ATen/ATen.h>

namespace mestre {
namespace {

thread_local at::Device build_device = at::kCPU;

}  // namespace

at::Tensor add_parameter(torch::nn::Module& module, std::string name, at::IntArrayRef sizes) {
  return module.register_parameter(std::move(name),
                                   at::empty(sizes, at::TensorOptions(at::kFloat).device(build_device)));
}

BuildOn::BuildOn(at::Device device) : before_(std::exchange(build_device, device)) {}
BuildOn::~BuildOn() {
  build_device = before_;
}

}  // namespace mestre
