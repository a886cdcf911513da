#ifndef CSHARDTOPCURL_SPAWN_H
#define CSHARDTOPCURL_SPAWN_H

/// The child inherits no descriptor from `lowest` on: libcurl's sockets are not closed by themselves. glibc shows the
/// function to GNU sources only, and Swift is none. `actions` is a posix_spawn_file_actions_t, unnamed here so that
/// its header's types stay those of Swift's Glibc.
int shardtop_spawn_close_from(void *actions, int lowest);

#endif
