# Every library that Mestre takes from elsewhere, and where it is found: Debian's packages, and Torch in MESTRE_DEPS.

find_package(Threads REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(fmt REQUIRED)
find_package(CLI11 REQUIRED)
find_path(MESTRE_XXHASH_INCLUDE xxhash.h REQUIRED)
add_library(mestre_xxhash INTERFACE)
target_include_directories(mestre_xxhash SYSTEM INTERFACE "${MESTRE_XXHASH_INCLUDE}")
target_compile_definitions(mestre_xxhash INTERFACE XXH_INLINE_ALL)
# Linked statically, so that the programs can be copied to a machine that has no fmt. Debian has no archive of it, and its headers alone
# would compile it again in every source (4 s of each), so it is compiled here, once, from the same headers.
add_library(mestre_fmt STATIC "${CMAKE_SOURCE_DIR}/cmake/fmt_library.cpp")
get_target_property(mestre_fmt_include fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
target_include_directories(mestre_fmt SYSTEM PUBLIC ${mestre_fmt_include})

# Optional: without it, a build says so when the tokenizer is asked for. Shared: Debian has no archive of it.
find_path(MESTRE_SENTENCEPIECE_INCLUDE sentencepiece_processor.h)
find_library(MESTRE_SENTENCEPIECE_LIBRARY sentencepiece)
if(MESTRE_SENTENCEPIECE_INCLUDE AND MESTRE_SENTENCEPIECE_LIBRARY)
  add_library(mestre_sentencepiece INTERFACE)
  target_include_directories(mestre_sentencepiece SYSTEM INTERFACE "${MESTRE_SENTENCEPIECE_INCLUDE}")
  target_link_libraries(mestre_sentencepiece INTERFACE -Wl,--push-state,--as-needed "${MESTRE_SENTENCEPIECE_LIBRARY}" -Wl,--pop-state)
else()
  message(STATUS "no SentencePiece (libsentencepiece-dev): mestre data prepare will not have its tokenizer")
endif()

if(MESTRE_CLI)
  find_package(Boost 1.80 CONFIG REQUIRED)
  find_package(SQLite3 3.40 REQUIRED)
  find_package(SQLiteCpp REQUIRED)
  find_path(MESTRE_TOMLPLUSPLUS_INCLUDE toml++/toml.h REQUIRED)
  add_library(mestre_toml INTERFACE)
  target_include_directories(mestre_toml SYSTEM INTERFACE "${MESTRE_TOMLPLUSPLUS_INCLUDE}")
  target_compile_definitions(mestre_toml INTERFACE TOML_HEADER_ONLY=1)
  find_package(simdjson REQUIRED)
  find_path(MESTRE_ZSTD_INCLUDE zstd.h REQUIRED)
  find_library(MESTRE_ZSTD_LIBRARY NAMES libzstd.a zstd REQUIRED)
  add_library(mestre_zstd INTERFACE)
  target_include_directories(mestre_zstd SYSTEM INTERFACE "${MESTRE_ZSTD_INCLUDE}")
  target_link_libraries(mestre_zstd INTERFACE "${MESTRE_ZSTD_LIBRARY}")
endif()

if(MESTRE_WORKER)
  file(GLOB mestre_torch_roots "${MESTRE_DEPS}/venv/lib/python3*/site-packages/torch")
  find_path(MESTRE_TORCH_ROOT include/torch/csrc/api/include/torch/torch.h
            HINTS "$ENV{MESTRE_TORCH}" ${mestre_torch_roots} REQUIRED NO_DEFAULT_PATH
            DOC "The torch package that pip installed (the folder that holds include/ and lib/)")
  # Torch brings an fmt of its own, of another version and namespace, whose headers come first where Torch's are searched.
  add_library(mestre_torch_fmt STATIC "${CMAKE_SOURCE_DIR}/cmake/fmt_library.cpp")
  target_include_directories(mestre_torch_fmt SYSTEM PUBLIC "${MESTRE_TORCH_ROOT}/include")
  # find_package(Torch) insists on an installed CUDA toolkit, so the target is made by hand.
  add_library(mestre_torch INTERFACE)
  target_link_libraries(mestre_torch INTERFACE mestre_torch_fmt)
  target_include_directories(mestre_torch SYSTEM INTERFACE "${MESTRE_TORCH_ROOT}/include"
                                                           "${MESTRE_TORCH_ROOT}/include/torch/csrc/api/include")
  target_link_directories(mestre_torch INTERFACE "${MESTRE_TORCH_ROOT}/lib")
  target_link_libraries(mestre_torch INTERFACE -Wl,--no-as-needed torch_cpu c10 -Wl,--as-needed)
  target_link_options(mestre_torch INTERFACE "-Wl,-rpath,${MESTRE_TORCH_ROOT}/lib" -Wl,--allow-shlib-undefined)
  # Two headers that nearly every program with Torch needs take 10 s of each source; compiled once, 2 s. For executables: libraries are
  # compiled with other flags.
  add_library(mestre_torch_headers OBJECT "${CMAKE_SOURCE_DIR}/cmake/torch_headers.cpp")
  set_target_properties(mestre_torch_headers PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(mestre_torch_headers PRIVATE -fPIE)
  target_link_libraries(mestre_torch_headers PRIVATE mestre_flags mestre_torch)
  target_precompile_headers(mestre_torch_headers PRIVATE <ATen/ATen.h> <torch/nn/module.h>)
endif()

if(MESTRE_TESTS)
  find_package(GTest REQUIRED)
  find_package(rapidcheck REQUIRED)
endif()
if(MESTRE_BENCH)
  find_package(benchmark REQUIRED)
endif()
