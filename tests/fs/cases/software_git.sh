# SPDX-License-Identifier: LGPL-2.1-or-later
# git clones, commits, repacks and checks on the mount.

mount_relinkfs
export HOME=$WORK GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org
export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org GIT_CONFIG_NOSYSTEM=1
git config --global init.defaultBranch main
git config --global protocol.file.allow always

git init -q "$MNT/origin"
cd "$MNT/origin"
for commit in 1 2 3; do
	for i in {1..150}; do
		mkdir -p "dir$((i % 12))/sub$((i % 5))"
		printf 'file %d in commit %d\n%.0s' "$i" "$commit" {1..20} >"dir$((i % 12))/sub$((i % 5))/f$i"
	done
	ln -sf "dir1/sub1" "link$commit"
	git add -A
	git commit -qm "commit $commit"
done
git tag -am "a tag" v1
cd "$MNT"

for way in --local --no-hardlinks --shared; do
	git clone -q "$way" "$MNT/origin" "clone$way"
	git -C "clone$way" fsck --full --strict
	diff -r --no-dereference --exclude=.git "$MNT/origin" "clone$way"
	[[ -z $(git -C "clone$way" status --porcelain) ]] || fail "clone $way is not clean"
done
git clone -q "file://$MNT/origin" remote
git clone -q --local remote local-on-the-mount
cd remote
git checkout -qb branch HEAD~2
echo change >>dir1/sub1/f1
git commit -qam "on a branch"
git merge -q -X ours -m merged main
git stash list
git gc -q --prune=now
git repack -qadf
git worktree add -q "$MNT/worktree" HEAD~1
git fsck --full
git -C "$MNT/worktree" status --porcelain
git -c core.fsync=all commit -q --allow-empty -m "synced"
[[ -z $(git status --porcelain) ]] || fail "not clean after all that"
git clean -qfdx
cd "$WORK"
assert_eq "$(git -C "$SRC/remote" -c safe.directory='*' rev-parse HEAD)" "$(git -C "$MNT/remote" rev-parse HEAD)"
find "$MNT" -mindepth 1 -maxdepth 1 ! -name lost+found -exec rm -rf {} +
assert_eq "lost+found" "$(ls -A "$MNT")"
