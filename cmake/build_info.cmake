# What the benchmark's JSON says of the build: flags and compiler as CMake configured them, and the revision of the
# sources at the time of the build, which changes without a word to CMake.
string(TOUPPER "${CMAKE_BUILD_TYPE}" build_type)
string(JOIN " " TENON_FLAGS ${CMAKE_CXX_FLAGS_${build_type}} ${TENON_PROCESSOR_FLAGS})
set_source_files_properties(tools/machine.cpp PROPERTIES COMPILE_DEFINITIONS
                            "TENON_FLAGS=\"${TENON_FLAGS}\";TENON_COMPILER=\"${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}\"")
add_custom_target(tenon_revision
                  COMMAND ${CMAKE_COMMAND} -DSOURCE_DIR=${CMAKE_SOURCE_DIR} -DOUT=${CMAKE_BINARY_DIR}/revision.cpp
                          -P ${CMAKE_SOURCE_DIR}/cmake/revision.cmake
                  BYPRODUCTS ${CMAKE_BINARY_DIR}/revision.cpp)
target_sources(tenon PRIVATE ${CMAKE_BINARY_DIR}/revision.cpp)
add_dependencies(tenon tenon_revision)
# Where `tenon bench --against` finds the Python side.
set_source_files_properties(tools/bench_against.cpp PROPERTIES COMPILE_DEFINITIONS
                            "TENON_SOURCE_DIR=\"${CMAKE_SOURCE_DIR}\"")
