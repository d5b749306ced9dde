# Installs into a folder of its own, builds examples/embed against that, and runs it. Needs SOURCE_DIR, BINARY_DIR,
# COMPILER, FLAGS.
set(stage ${BINARY_DIR}/package_test)
file(REMOVE_RECURSE ${stage})

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(status)
    message(FATAL_ERROR "${ARGN} failed:\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

run(${CMAKE_COMMAND} --install ${BINARY_DIR} --prefix ${stage}/installed)
run(${CMAKE_COMMAND} -S ${SOURCE_DIR}/examples/embed -B ${stage}/embed -DCMAKE_PREFIX_PATH=${stage}/installed
    -DCMAKE_CXX_COMPILER=${COMPILER} "-DCMAKE_CXX_FLAGS=${FLAGS}")
run(${CMAKE_COMMAND} --build ${stage}/embed)

run(${stage}/embed/embed ${SOURCE_DIR}/tests/data/bert_gelu "some text")
string(REGEX MATCHALL "-?[0-9]+\\.[0-9]+" numbers "${output}")
list(LENGTH numbers count)
if(NOT count EQUAL 32)
  message(FATAL_ERROR "an embedding of 32 numbers was expected, not:\n${output}")
endif()
run(${stage}/installed/bin/tenon --version)
