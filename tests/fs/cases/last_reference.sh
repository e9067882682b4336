# SPDX-License-Identifier: LGPL-2.1-or-later
# An entry is kept by any kind of reference, and dropped with the last of them.

mount_relinkfs
holder a

# A mapping whose fd is closed.
h a open f "$MNT/map" rw,creat
h a truncate f 8192
h a mmap f m 8192 rw
h a close f
rm "$MNT/map"
assert_vault 1
h a mwrite m 0 "by the mapping"
h_is "by the mapping" a mread m 0 14
assert_eq "by the mapping" "$(head -c 14 "$VAULT"/*)" "in the vault"
assert_eq 1 "$(vault_count)"
h a munmap m
assert_vault 0

# Unlinked first, then mapped, then closed.
h a open f "$MNT/map" rw,creat
h a write f "mapped after"
rm "$MNT/map"
h a mmap f m 12
h a close f
h_is "mapped after" a mread m 0 12
assert_eq 1 "$(vault_count)"
h a munmap m
assert_vault 0

# O_PATH: no open at the filesystem at all.
echo "by path" >"$MNT/path"
h a open f "$MNT/path" path
rm "$MNT/path"
assert_vault 1
h_is "0 8" a fstat f nlink size
h a reopen f g r
h_is "by path" a read g 20
h a close f
assert_eq 1 "$(vault_count)"
h a close g
assert_vault 0

# A running program.
cp "$BUILD_DIR/tests/helpers/hold" "$MNT/hold"
mkfifo "$WORK/run.in"
"$MNT/hold" <"$WORK/run.in" >/dev/null &
program=$!
exec {run_in}>"$WORK/run.in"
wait_until '[[ $(readlink /proc/$program/exe) == "$MNT/hold" ]]'
rm "$MNT/hold"
assert_vault 1
assert_eq "$MNT/hold (deleted)" "$(readlink "/proc/$program/exe")"
cmp "/proc/$program/exe" "$BUILD_DIR/tests/helpers/hold"
echo quit >&$run_in
exec {run_in}>&-
wait "$program"
assert_vault 0

# A working directory, and a root.
mkdir "$MNT/cwd"
h a chdir "$MNT/cwd"
rmdir "$MNT/cwd"
assert_vault 1
h a chdir /
assert_vault 0

# A bind mount of a file.
echo bound >"$MNT/bound"
: >"$WORK/target"
mount --bind "$MNT/bound" "$WORK/target"
rm "$MNT/bound"
assert_vault 1
assert_eq bound "$(cat "$WORK/target")"
assert_eq 0 "$(stat -c %h "$WORK/target")" "links"
umount "$WORK/target"
assert_vault 0

# In flight between two processes, then read by nobody: a fd in a socket's queue counts.
echo passed >"$MNT/passed"
pass-fd "$MNT/passed" >"$WORK/pass.out" &
passer=$!
wait_until '[[ -s $WORK/pass.out ]]'
rm "$MNT/passed"
assert_vault 1
assert_eq 1 "$(vault_count)"
kill "$passer"
wait "$passer" || true
assert_vault 0

# Nothing else than a lookup: the name is not kept alive by the kernel's cache.
for i in {1..50}; do echo "$i" >"$MNT/cached-$i"; done
ls -l "$MNT" >/dev/null
cat "$MNT"/cached-* >/dev/null
rm "$MNT"/cached-*
assert_vault 0

# A regular file that was looked up but never opened: nobody told the daemon of the O_PATH
# fd, and still the file can be opened by it after its name has gone.
echo "never opened" >"$SRC/quiet"
holder b
h b open p "$MNT/quiet" path
rm "$MNT/quiet"
h_is "0 13" b fstat p nlink size
h b reopen p q rw
h_is "never opened" b pread q 0 20
h b close p
h b pwrite q 0 "NEVER"
h_is "NEVER opened" b pread q 0 20
release b
assert_vault 0

# With track=all it is an entry like any other.
remount_relinkfs -o track=all
echo "tracked" >"$SRC/quiet"
holder b
h b open p "$MNT/quiet" path
rm "$MNT/quiet"
assert_vault 1
h b reopen p q r
h_is "tracked" b pread q 0 20
release b
assert_vault 0
