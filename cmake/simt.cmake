# Compiles device sources with the host compiler, against kernels/simt: each through a generated .cpp that includes
# it, with the memory hooks (kernels/simt/hooks.cpp) unless TENON_SIMT_HOOKS is off.
if(TENON_SIMT_HOOKS AND TENON_SANITIZE MATCHES "thread")
  message(STATUS "ThreadSanitizer takes the place of the simt device's memory hooks")
  set(TENON_SIMT_HOOKS OFF)
endif()
if(TENON_SIMT_HOOKS)
  set_source_files_properties(${CMAKE_SOURCE_DIR}/kernels/simt/hooks.cpp PROPERTIES COMPILE_DEFINITIONS
                              TENON_SIMT_HOOKS=1)
endif()

# Adds the sources to an object library or a program. Line tables let a fault name its line; vectorised or merged
# accesses would only blur which is which; #pragma unroll is nvcc's.
function(tenon_add_simt_sources target)
  set(flags -g1 -fno-tree-vectorize -Wno-unknown-pragmas)
  if(TENON_SIMT_HOOKS)
    list(APPEND flags -fsanitize=thread)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      list(APPEND flags --param=tsan-instrument-func-entry-exit=0 -fno-store-merging)
    endif()
  endif()
  foreach(source IN LISTS ARGN)
    get_filename_component(source ${source} ABSOLUTE)
    file(RELATIVE_PATH name ${CMAKE_SOURCE_DIR} ${source})
    set(included ${name})  # from the root, so that a compiler cache serves every checkout
    if(name MATCHES "^\\.\\./")
      set(included ${source})
      string(REPLACE "../" "" name ${name})
    endif()
    set(generated ${CMAKE_BINARY_DIR}/simt/${name}.cpp)
    file(CONFIGURE OUTPUT ${generated} CONTENT "#include \"${included}\"\n" @ONLY)
    set_source_files_properties(${generated} PROPERTIES COMPILE_OPTIONS "${flags}" OBJECT_DEPENDS ${source})
    target_sources(${target} PRIVATE ${generated})
  endforeach()
endfunction()
