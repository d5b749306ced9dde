# Writes OUT, a source file with the revision of SOURCE_DIR; leaves it alone where nothing has changed.
cmake_minimum_required(VERSION 3.22)
execute_process(COMMAND git describe --always --dirty WORKING_DIRECTORY ${SOURCE_DIR}
                OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT revision)
  set(revision unknown)
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT "namespace tenon { extern const char* const source_revision; const char* const source_revision = \"@revision@\"; }\n" @ONLY)
