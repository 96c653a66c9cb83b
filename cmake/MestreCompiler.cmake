# One set of compiler flags for everything; targets add only what they alone need.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)  # the kernels' shared library links core objects, and one setting shares the compiler cache
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)    # clang-tidy reads them
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")

# All presets but dev compile ten sources of a target as one: most of a source's is its headers'.
set(CMAKE_UNITY_BUILD_BATCH_SIZE 10)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_CXX_FLAGS_DEBUG "-Og -g -D_GLIBCXX_ASSERTIONS")

add_library(mestre_flags INTERFACE)
target_include_directories(mestre_flags INTERFACE "${CMAKE_SOURCE_DIR}")
# Designated initialisers leave out what has a default; -Wrestrict of g++ 12 fires inside std::string; where sources are compiled together
# (CMAKE_UNITY_BUILD), g++ takes a source's private types for a header's.
target_compile_options(mestre_flags INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wno-missing-field-initializers
                                                $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
                                                $<$<AND:$<CXX_COMPILER_ID:GNU>,$<BOOL:${CMAKE_UNITY_BUILD}>>:-Wno-subobject-linkage>
                                              $<$<BOOL:${MESTRE_WERROR}>:-Werror>)
if(MESTRE_SANITIZE)
  set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g1 -D_GLIBCXX_ASSERTIONS")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()

if(MESTRE_FUZZ)
  set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1 -D_GLIBCXX_ASSERTIONS")
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# One compiler cache for every checkout: paths under the source folder are made relative before they are hashed.
find_program(MESTRE_CCACHE ccache)
if(MESTRE_CCACHE)
  set(mestre_ccache_settings CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
                             CCACHE_SLOPPINESS=pch_defines,time_macros)
  if(NOT DEFINED ENV{CCACHE_DIR})
    list(APPEND mestre_ccache_settings CCACHE_DIR=${MESTRE_DEPS}/ccache)
  endif()
  set(CMAKE_CXX_COMPILER_LAUNCHER env ${mestre_ccache_settings} "${MESTRE_CCACHE}")
endif()
find_program(MESTRE_MOLD mold)
if(MESTRE_MOLD)
  add_link_options(-fuse-ld=mold)
endif()
