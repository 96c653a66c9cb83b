// SwiGLU's gate on the CPU, without Torch: rows [first, last) of dense matrices. T is float or double.
#pragma once

#include <cstdint>

namespace mestre::kernels {

/// gate_up [rows, 2p] to y [rows, p].
template <class T>
void swiglu_rows(std::int64_t first, std::int64_t last, std::int64_t p, const T* gate_up, T* y);

/// dy [rows, p] to d_gate_up [rows, 2p].
template <class T>
void swiglu_rows_backward(std::int64_t first, std::int64_t last, std::int64_t p, const T* gate_up, const T* dy,
                          T* d_gate_up);

}  // namespace mestre::kernels
