# SPDX-License-Identifier: Apache-2.0
# Run as a script: ARCHIVE from OBJECTS, all members of the archives WHOLE, and what those need of PRIVATE, whose names
# become local. One object, because a linker would leave out members that register themselves and nobody names; local
# names, because the program that links it may have another version of the same library.
get_filename_component(directory ${ARCHIVE} DIRECTORY)
set(object ${directory}/warpwright.o)

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

run(${LINKER} -r -z noexecstack -o ${object} ${OBJECTS} --whole-archive ${WHOLE} --no-whole-archive
  --start-group ${PRIVATE} --end-group)

execute_process(COMMAND ${NM} --defined-only --extern-only --format=posix ${PRIVATE}
  OUTPUT_VARIABLE listing COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]+ [BDRT] " lines "${listing}")  # not weak ones, the standard library's among them
list(TRANSFORM lines REPLACE " [BDRT] $" "")
list(JOIN lines "\n" names)
file(WRITE ${directory}/private_names "${names}\n")
run(${OBJCOPY} --localize-symbols=${directory}/private_names ${object})

file(REMOVE ${ARCHIVE})
run(${AR} qcs ${ARCHIVE} ${object})
file(REMOVE ${object})
