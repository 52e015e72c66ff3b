#!/usr/bin/env bash
# Write the verdict on the pull request, over the one of the push before: its first line is a mark that names the task.
set -euo pipefail
if [ ! -f "$COMMENT" ]; then
    echo "no comment: the gate did not get as far as a verdict"
    exit 0
fi
mark=$(head -n 1 "$COMMENT")
comments=repos/$GITHUB_REPOSITORY/issues/$PULL_REQUEST/comments
export mark
there=$(gh api "$comments" --paginate --jq '.[] | select(.body | startswith(env.mark)) | .id' | tail -n 1)
if [ -n "$there" ]; then
    gh api --silent --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$there" --field "body=@$COMMENT"
else
    gh api --silent "$comments" --field "body=@$COMMENT"
fi
