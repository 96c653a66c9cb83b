# mestre_library(NAME SOURCES … LIBS …): a static library of one room, with the project's flags.
function(mestre_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBS" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_link_libraries(${name} PUBLIC mestre_flags ${arg_LIBS})
endfunction()

# mestre_test(NAME LABELS … SOURCES … LIBS …): one GoogleTest program and its CTest entry, which bears the labels.
# Labels: unit, golden, numeric, integration, slurm, gpu. A test that starts mestre-worker stands inside if(MESTRE_WORKER). CTest runs
# as many tests at once as there are cores, so each gets one thread.
function(mestre_test name)
  if(NOT MESTRE_TESTS)
    return()
  endif()
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;LIBS;LABELS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE mestre_flags ${arg_LIBS} GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT}
                       ENVIRONMENT "MESTRE_BIN=${CMAKE_BINARY_DIR}/bin;MESTRE_SOURCE=${CMAKE_SOURCE_DIR};OMP_NUM_THREADS=1")
endfunction()

# The same for a program whose sources include Torch.
function(mestre_torch_test name)
  mestre_test(${name} ${ARGN})
  if(TARGET ${name})
    target_precompile_headers(${name} REUSE_FROM mestre_torch_headers)
  endif()
endfunction()

add_custom_target(benches)

# mestre_bench(NAME SOURCES … LIBS …): a benchmark program, built by the target `benches` only; `make bench` runs them all.
function(mestre_bench name)
  if(NOT MESTRE_BENCH)
    return()
  endif()
  cmake_parse_arguments(arg "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} EXCLUDE_FROM_ALL ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE mestre_flags ${arg_LIBS} benchmark::benchmark)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bench")
  add_dependencies(benches ${name})
endfunction()

# The same for a program whose sources include Torch.
function(mestre_torch_bench name)
  mestre_bench(${name} ${ARGN})
  if(TARGET ${name})
    target_precompile_headers(${name} REUSE_FROM mestre_torch_headers)
  endif()
endfunction()
