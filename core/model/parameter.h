// Making the parameters of modules.
#pragma once

#include <string>

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <torch/nn/module.h>

namespace mestre {

/// Registers an uninitialised fp32 parameter of these sizes, on the CPU unless a BuildOn says otherwise.
at::Tensor add_parameter(torch::nn::Module& module, std::string name, at::IntArrayRef sizes);

/// Models that this thread builds while it lives get their parameters on the device: on Meta they have shapes and take
/// no memory.
class BuildOn {
 public:
  explicit BuildOn(at::Device device);
  ~BuildOn();
  BuildOn(const BuildOn&) = delete;
  BuildOn& operator=(const BuildOn&) = delete;

 private:
  at::Device before_;
};

}  // namespace mestre
