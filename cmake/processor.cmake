# Resolves -march=native to explicit flags once, when CMake configures: the flags then stand in every compile
# command, so a compiler cache never hands out objects that were made for another processor.
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  message(FATAL_ERROR "tenon's CPU kernels are written for x86-64, not ${CMAKE_SYSTEM_PROCESSOR}")
endif()

set(TENON_PROCESSOR_FLAGS -march=x86-64-v3 -mtune=generic)
if(TENON_NATIVE)
  execute_process(COMMAND ${CMAKE_CXX_COMPILER} -march=native "-###" -E -x c++ /dev/null
                  ERROR_VARIABLE driver_line OUTPUT_QUIET)
  string(REGEX REPLACE ".*/cc1plus" "" compiler_line "${driver_line}")
  string(REGEX MATCHALL "[ \"]-m[a-z0-9.-]+(=[a-z0-9.-]+)?" explicit "${compiler_line}")
  list(TRANSFORM explicit REPLACE "^[ \"]" "")
  list(FILTER explicit EXCLUDE REGEX "^-march=native$|^-mtune|^-mrelax|^-m64$|shstk$")
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND explicit MATCHES "-march=")
    set(TENON_PROCESSOR_FLAGS ${explicit})
  else()
    set(TENON_PROCESSOR_FLAGS -march=native)
  endif()
  include(CheckCXXSourceCompiles)
  set(CMAKE_REQUIRED_FLAGS "-march=native")
  check_cxx_source_compiles("#ifndef __AVX512F__\n#error\n#endif\nint main() {}" TENON_NATIVE_AVX512)
  if(TENON_NATIVE_AVX512)
    list(APPEND TENON_PROCESSOR_FLAGS -mprefer-vector-width=512)
  endif()
endif()

# What these flags let the compiler use, by the names that __builtin_cpu_supports has for it.
execute_process(COMMAND ${CMAKE_CXX_COMPILER} ${TENON_PROCESSOR_FLAGS} -dM -E -x c++ /dev/null
                OUTPUT_VARIABLE macros)
set(TENON_PROCESSOR_FEATURES)
foreach(feature sse3 ssse3 sse4.1 sse4.2 popcnt aes pclmul avx avx2 fma bmi bmi2 gfni vpclmulqdq avx512f avx512dq
                avx512cd avx512bw avx512vl avx512ifma avx512vbmi avx512vbmi2 avx512vnni avx512bitalg
                avx512vpopcntdq avx512bf16 avx512vp2intersect)
  string(TOUPPER ${feature} macro)
  string(REPLACE "." "_" macro ${macro})
  if(macros MATCHES "#define __${macro}__ ")
    list(APPEND TENON_PROCESSOR_FEATURES ${feature})
  endif()
endforeach()

# An object library that ends the program at its start on a processor without one of the features.
function(tenon_processor_check target)
  set(checks)
  foreach(feature IN LISTS ARGN)
    string(APPEND checks "  if (!__builtin_cpu_supports(\"${feature}\")) missing = \"${feature}\";\n")
  endforeach()
  configure_file(${PROJECT_SOURCE_DIR}/cmake/processor_check.cpp.in ${CMAKE_CURRENT_BINARY_DIR}/${target}.cpp @ONLY)
  add_library(${target} OBJECT ${CMAKE_CURRENT_BINARY_DIR}/${target}.cpp)
  target_compile_options(${target} PRIVATE -march=x86-64 -mtune=generic)
endfunction()
