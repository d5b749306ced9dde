# What the benchmark's JSON says of the build: flags, and the revision at the time CMake configured.
execute_process(COMMAND git describe --always --dirty WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
                OUTPUT_VARIABLE TENON_REVISION OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
string(TOUPPER "${CMAKE_BUILD_TYPE}" build_type)
string(JOIN " " TENON_FLAGS ${CMAKE_CXX_FLAGS_${build_type}} ${TENON_PROCESSOR_FLAGS})
set_source_files_properties(tools/machine.cpp PROPERTIES COMPILE_DEFINITIONS
                            "TENON_REVISION=\"${TENON_REVISION}\";TENON_FLAGS=\"${TENON_FLAGS}\";TENON_COMPILER=\"${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}\"")
# Where `tenon bench --against` finds the Python side.
set_source_files_properties(tools/bench_against.cpp PROPERTIES COMPILE_DEFINITIONS
                            "TENON_SOURCE_DIR=\"${CMAKE_SOURCE_DIR}\"")
