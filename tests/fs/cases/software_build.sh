# SPDX-License-Identifier: LGPL-2.1-or-later
# A CMake project is configured, built, changed, built again, installed and run.

mount_relinkfs
mkdir "$MNT/project" "$MNT/project/lib"
cd "$MNT/project"
cat >CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.25)
project(example C)
file(GLOB sources lib/*.c)
add_library(parts SHARED ${sources})
add_executable(example main.c)
target_link_libraries(example parts)
install(TARGETS example parts)
END
for i in {1..12}; do
	printf 'int part_%d(void);\nint part_%d(void)\n{\n\treturn %d;\n}\n' "$i" "$i" "$i" >"lib/part$i.c"
done
{
	echo '#include <stdio.h>'
	printf 'int part_%d(void);\n' {1..12}
	echo 'int main(void) { printf("%d\n", 0'
	printf ' + part_%d()' {1..12}
	echo '); return 0; }'
} >main.c

cmake -G Ninja -S . -B build -DCMAKE_BUILD_TYPE=Debug -DCMAKE_INSTALL_PREFIX="$MNT/installed" >"$LOGS/cmake.log" 2>&1
cmake --build build -j2 >>"$LOGS/cmake.log" 2>&1
assert_eq 78 "$(build/example)"
assert_match "no work to do" "$(cmake --build build)"

sed -i 's/return 12/return 100/' lib/part12.c
cmake --build build -j2 >>"$LOGS/cmake.log" 2>&1
assert_eq 166 "$(build/example)"
cmake --install build >>"$LOGS/cmake.log" 2>&1
assert_eq 166 "$(LD_LIBRARY_PATH=$MNT/installed/lib "$MNT/installed/bin/example")"

# Rebuilt while the old program runs.
cp "$BUILD_DIR/tests/helpers/hold" running
mkfifo "$WORK/in"
./running <"$WORK/in" >/dev/null &
pid=$!
exec {in}>"$WORK/in"
wait_until '[[ $(readlink /proc/$pid/exe) == */running ]]'
cp build/example running.new
mv running.new running
assert_eq 166 "$(LD_LIBRARY_PATH=build ./running)"
assert_vault 1
echo quit >&$in
wait "$pid"
cmake --build build --target clean >>"$LOGS/cmake.log" 2>&1
cd "$WORK"
assert_vault 0
