#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# For developers: the two commands as a newcomer meets them. Clones the last commit into an empty folder and runs
# ./run and ./test there with an empty home folder and almost no environment, then both again with nothing changed.
#   tests/fresh_clone.sh [--no-ccache] [--no-toolkit]
set -euo pipefail
source_folder=$(git -C "$(dirname "${BASH_SOURCE[0]}")" rev-parse --show-toplevel)

environment=(PATH="$PATH" CI=true)
# What reaches the package registries is part of the machine, not of the person.
while IFS= read -r setting; do environment+=("$setting"); done < <(env | grep -iE '^(https?_proxy|no_proxy|pip_[a-z_]+)=')
for argument in "$@"; do
    case $argument in
        --no-ccache) environment+=(CCACHE_DISABLE=1) ;;
        --no-toolkit) environment+=(WARPWRIGHT_NO_TOOLKIT=1) ;;
        *) sed -n '3,5s/^# *//p' "${BASH_SOURCE[0]}" && exit 2 ;;
    esac
done

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/home"
git clone --quiet "$source_folder" "$scratch/project"
cd "$scratch/project"

# measure NAME LIMIT_S COMMAND...
measure() {
    local name=$1 limit_s=$2 log=$scratch/$1.log started=$SECONDS status=0
    shift 2
    env -i "${environment[@]}" HOME="$scratch/home" "$@" </dev/null >"$log" 2>&1 || status=$?
    local seconds=$((SECONDS - started))
    printf '%-28s exit %d  %4d s (at most %d)\n' "$name" "$status" "$seconds" "$limit_s"
    if ((status != 0)); then
        tail -n 40 "$log"
        exit 1
    fi
    if ((seconds > limit_s)); then
        printf 'too slow\n'
        exit 1
    fi
}

measure 'run, from nothing' 900 ./run
measure 'run, unchanged: set-up' 20 ./setup run
measure 'test, after run' 1500 .ci/run
measure 'test, unchanged: set-up' 20 ./setup test
[[ -z $(git status --porcelain) ]] || { git status --short && exit 1; }
tail -n 1 "$scratch/test, after run.log"
