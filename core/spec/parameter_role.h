// What a parameter of a model is for, told by its name: what rules of the optimizer speak of. Without Torch. Pure.
#pragma once

#include <string_view>
#include <vector>

namespace mestre {

/// Each parameter has exactly one role:
///   embedding, head   of the vocabulary; a tied head is the embedding
///   matrix            of a dense product
///   convolution       taps of a short convolution
///   norm              scales of a normalisation
///   bias              added to something, Delta's included
///   ssm               A and D of an S6
///   vector            other scales and offsets along one dimension
[[nodiscard]] std::string_view parameter_role(std::string_view name);

/// All roles.
[[nodiscard]] const std::vector<std::string_view>& parameter_roles();

}  // namespace mestre
