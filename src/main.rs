//! The program: arguments in, one command run, its exit code out. Never a decision of its own.

use std::process::ExitCode;

/// Fewer system calls and less contention than the system's allocator on the path of a request.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hookgate::cli::run()
}
