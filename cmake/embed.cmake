# SPDX-License-Identifier: Apache-2.0
# ww_embed(TARGET NAME ROOT FILES...) compiles files into TARGET as
#   namespace warpwright { std::span<const EmbeddedFile> NAME(); }     (src/image/embedded.h)
# with the paths relative to ROOT. The linker's binary input keeps the bytes; a small generated table names them.
function(ww_embed target name root)
  set(directory ${CMAKE_BINARY_DIR}/embed/${name})
  file(MAKE_DIRECTORY ${directory})
  set(externs "")
  set(rows "")
  set(absolute "")
  foreach(file IN LISTS ARGN)
    string(MAKE_C_IDENTIFIER "_binary_${file}" symbol)
    string(APPEND externs "extern \"C\" const unsigned char ${symbol}_start[];\nextern \"C\" const unsigned char ${symbol}_end[];\n")
    string(APPEND rows "    {\"${file}\", {reinterpret_cast<const char*>(${symbol}_start), reinterpret_cast<const char*>(${symbol}_end)}},\n")
    list(APPEND absolute ${root}/${file})
  endforeach()
  file(CONFIGURE OUTPUT ${directory}/table.cpp CONTENT
"// Made by cmake/embed.cmake.
#include \"image/embedded.h\"
@externs@
namespace warpwright {
std::span<const EmbeddedFile> @name@() {
    static const EmbeddedFile files[] = {
@rows@    };
    return files;
}
}  // namespace warpwright
" @ONLY)
  add_custom_command(
    OUTPUT ${directory}/files.o
    COMMAND ${CMAKE_LINKER} -r -z noexecstack -b binary -o ${directory}/files.o ${ARGN}
    WORKING_DIRECTORY ${root}
    DEPENDS ${absolute}
    VERBATIM)
  set_source_files_properties(${directory}/files.o PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
  target_sources(${target} PRIVATE ${directory}/table.cpp ${directory}/files.o)
endfunction()
