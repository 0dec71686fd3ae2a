# The source of the native filesystems' tests, and what must come out of an image again. Sourced by their bats files.

# In the working directory: src, with an empty directory, an empty file, a link, a name with a space, and odd modes.
make_source() { # BYTES of its largest file
    mkdir -p src/dir/empty "src/a name"
    echo one >src/one.txt
    printf two >"src/a name/two"
    : >src/none
    head -c "$1" /dev/urandom >src/dir/big
    ln -s ../one.txt src/dir/link
    chmod 750 src/dir
    chmod 600 src/one.txt
}

# Names, kinds, modes, targets and contents; the times of files are a format's own affair (times_of).
tree_of() { # DIR
    (cd "$1" && find . -printf '%P %y %m %l\n' | sort && find . -type f -exec sha256sum {} + | sort)
}
times_of() { # DIR
    (cd "$1" && find . -type f -printf '%P %T@\n' | sort)
}
