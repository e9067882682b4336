# SPDX-License-Identifier: LGPL-2.1-or-later
# labels: slow
# size: 2G
# deadline: 1100
# The same with more than ten million operations on the three filesystems together.

OPERATIONS=500000 SEED=${EPOCHSECONDS}
source "${CASE%_slow.sh}.sh"
