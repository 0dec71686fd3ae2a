#!/bin/sh
# tests/carried.sh OBJECT NAME...: a kernel that has NAMEs can carry OBJECT: it asks for nothing else. Exit 1 and what else.
set -eu
object=$1
shift
code=0
for name in $(nm -u "$object" | sed 's/.* //'); do
    case " $* " in
    *" $name "*) ;;
    *) echo "$object cannot be carried: it needs $name"; code=1 ;;
    esac
done
exit $code
