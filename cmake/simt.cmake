# Compiles device sources with the host compiler, against kernels/simt.
function(tenon_add_simt_sources target)
endfunction()
