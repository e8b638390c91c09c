//! The WASI imports: exactly the functions of `FOR_ALL_WASI_FUNCTIONS` in proxy-wasm-cpp-host, with its answers.
//!
//! There are no files: everything about them is an error number. Written output goes to the log, as in Envoy (stdout
//! at info, stderr at error), and is kept for the test. nginx offers fewer functions (`ngx_wasi_preview1_host.c`).

use wasmtime::{Caller, Linker};

use super::fault::What;
use super::memory::{fill, put, put_u32, put_u64, read};
use super::state::State;

const MODULE: &str = "wasi_snapshot_preview1";

const SUCCESS: u32 = 0;
const BADF: u32 = 8;
const NOTDIR: u32 = 20;
const FAULT: u32 = 21;
const INVAL: u32 = 28;
const NOENT: u32 = 44;
const NOSYS: u32 = 52;
const NOTSUP: u32 = 58;

/// `PROXY_WASM_HOST_WASI_RANDOM_GET_MAX_SIZE_BYTES`.
const MAX_RANDOM: u32 = 64 * 1024;

const NGINX: [&str; 18] = [
    "args_get",
    "args_sizes_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_close",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_prestat_get",
    "fd_prestat_dir_name",
    "fd_read",
    "fd_seek",
    "fd_write",
    "path_open",
    "proc_exit",
    "random_get",
    "sched_yield",
    "poll_oneoff",
];

pub(super) fn nginx_offers(module: &str, name: &str) -> bool {
    module != MODULE || NGINX.contains(&name)
}

/// Links each `name(arguments) = function` as `wasi_snapshot_preview1.<name>`.
macro_rules! link {
    ($linker:ident: $($name:literal ($($arg:ident: $kind:ty),*) = $run:expr;)*) => {$(
        $linker.func_wrap(MODULE, $name, |mut c: Caller<'_, State>, $($arg: $kind),*| -> wasmtime::Result<u32> {
            *c.data_mut().cost.host_calls.entry($name).or_default() += 1;
            match c.data_mut().fault($name) {
                Some(What::Status(number)) => return Ok(number),
                Some(What::Nothing) => return Ok(SUCCESS),
                Some(What::Trap) => return Err(wasmtime::format_err!("injected fault: {} traps", $name)),
                Some(What::Data(_)) | None => {}
            }
            $run(&mut c, $($arg),*)
        })?;
    )*};
}

/// Links functions that only ever give an error number.
macro_rules! link_constant {
    ($linker:ident: $($name:literal ($($kind:ty),*) = $answer:expr;)*) => {$(
        $linker.func_wrap(MODULE, $name, |mut c: Caller<'_, State>, $(_: $kind),*| -> u32 {
            *c.data_mut().cost.host_calls.entry($name).or_default() += 1;
            $answer
        })?;
    )*};
}

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    link! { linker:
        "fd_write"(fd: u32, iovs: u32, count: u32, written: u32) = fd_write;
        "fd_pwrite"(fd: u32, iovs: u32, count: u32, at: u64, written: u32) =
            |c: &mut Caller<'_, State>, fd, iovs, count, _, written| fd_write(c, fd, iovs, count, written);
        "fd_fdstat_get"(fd: u32, out: u32) = fd_fdstat_get;
        "environ_sizes_get"(count: u32, size: u32) = environ_sizes_get;
        "environ_get"(pointers: u32, buffer: u32) = environ_get;
        "args_sizes_get"(count: u32, size: u32) = zeros;
        "clock_time_get"(id: u32, precision: u64, out: u32) =
            |c: &mut Caller<'_, State>, id, _, out| clock(c, id, out);
        "clock_res_get"(id: u32, out: u32) = |c: &mut Caller<'_, State>, id: u32, out|
            if id > 1 { Ok(NOTSUP) } else { errno(put_u64(c, out, 1)) };
        "random_get"(out: u32, len: u32) = random_get;
        "poll_oneoff"(subscriptions: u32, out: u32, count: u32, events: u32) =
            |c: &mut Caller<'_, State>, _, _, _, events| errno(put_u32(c, events, 0));
        "fd_readdir"(fd: u32, buffer: u32, len: u32, cookie: u64, read: u32) =
            |c: &mut Caller<'_, State>, _, _, _, _, read| { put_u32(c, read, 0); Ok(NOTDIR) };
        "fd_tell"(fd: u32, out: u32) = |c: &mut Caller<'_, State>, fd: u32, out|
            if fd == 1 || fd == 2 { errno(put_u64(c, out, 0)) } else { Ok(BADF) };
    }
    linker.func_wrap(MODULE, "proc_exit", |code: u32| -> wasmtime::Result<()> {
        Err(wasmtime::format_err!("the guest called proc_exit({code})"))
    })?;
    link_constant! { linker:
        "args_get"(u32, u32) = SUCCESS;
        "sched_yield"() = SUCCESS;
        "fd_seek"(u32, u64, u32, u32) = SUCCESS;
        "fd_close"(u32) = SUCCESS;
        "fd_advise"(u32, u64, u64, u32) = SUCCESS;
        "fd_allocate"(u32, u64, u64) = SUCCESS;
        "fd_datasync"(u32) = SUCCESS;
        "fd_sync"(u32) = SUCCESS;
        "fd_fdstat_set_rights"(u32, u64, u64) = SUCCESS;
        "fd_filestat_set_size"(u32, u64) = SUCCESS;
        "fd_filestat_set_times"(u32, u64, u64, u32) = SUCCESS;
        "fd_read"(u32, u32, u32, u32) = NOSYS;
        "fd_pread"(u32, u32, u32, u64, u32) = NOSYS;
        "fd_fdstat_set_flags"(u32, u32) = NOSYS;
        "fd_prestat_get"(u32, u32) = BADF;
        "fd_prestat_dir_name"(u32, u32, u32) = NOSYS;
        "fd_filestat_get"(u32, u32) = BADF;
        "fd_renumber"(u32, u32) = NOTSUP;
        "path_open"(u32, u32, u32, u32, u32, u64, u64, u32, u32) = NOENT;
        "path_create_directory"(u32, u32, u32) = NOTSUP;
        "path_filestat_get"(u32, u32, u32, u32, u32) = NOTSUP;
        "path_filestat_set_times"(u32, u32, u32, u32, u64, u64, u32) = NOTSUP;
        "path_link"(u32, u32, u32, u32, u32, u32) = NOTSUP;
        "path_readlink"(u32, u32, u32, u32, u32, u32) = NOTSUP;
        "path_remove_directory"(u32, u32, u32) = NOTSUP;
        "path_rename"(u32, u32, u32, u32, u32, u32) = NOTSUP;
        "path_symlink"(u32, u32, u32, u32) = NOTSUP;
        "path_unlink_file"(u32, u32, u32) = NOTSUP;
        "sock_accept"(u32, u32, u32) = NOTSUP;
        "sock_recv"(u32, u32, u32, u32, u32, u32) = NOTSUP;
        "sock_send"(u32, u32, u32, u32, u32) = NOTSUP;
        "sock_shutdown"(u32, u32) = NOTSUP;
    }
    Ok(())
}

type Errno = wasmtime::Result<u32>;

fn errno(ok: bool) -> Errno {
    Ok(if ok { SUCCESS } else { FAULT })
}

fn fd_write(c: &mut Caller<'_, State>, fd: u32, iovs: u32, count: u32, written: u32) -> Errno {
    let level = match fd {
        1 => 2,
        2 => 4,
        _ => return Ok(BADF),
    };
    let mut text = Vec::new();
    for index in 0..count {
        let Some(pair) = read(c, iovs.wrapping_add(index.wrapping_mul(8)), 8) else {
            return Ok(FAULT);
        };
        let number = |at: usize| u32::from_le_bytes(pair[at..at + 4].try_into().unwrap());
        match read(c, number(0), number(4)) {
            Some(part) => text.extend(part),
            None => return Ok(FAULT),
        }
    }
    let state = c.data_mut();
    if fd == 1 {
        &mut state.stdout
    } else {
        &mut state.stderr
    }
    .extend(&text);
    if !text.is_empty() {
        state.log(level, text.strip_suffix(b"\n").unwrap_or(&text));
    }
    errno(put_u32(c, written, text.len() as u32))
}

/// 24 bytes; only `fs_rights_base` is set, to "may write".
fn fd_fdstat_get(c: &mut Caller<'_, State>, fd: u32, out: u32) -> Errno {
    if fd != 1 && fd != 2 {
        return Ok(BADF);
    }
    let mut stat = [0; 24];
    stat[8] = 64;
    errno(put(c, out, &stat))
}

fn environment(state: &State) -> Vec<Vec<u8>> {
    state
        .options
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}\0").into_bytes())
        .collect()
}

fn environ_sizes_get(c: &mut Caller<'_, State>, count: u32, size: u32) -> Errno {
    let env = environment(c.data());
    let bytes = env.iter().map(Vec::len).sum::<usize>() as u32;
    errno(put_u32(c, count, env.len() as u32) && put_u32(c, size, bytes))
}

fn environ_get(c: &mut Caller<'_, State>, mut pointers: u32, mut buffer: u32) -> Errno {
    for entry in environment(c.data()) {
        if !put_u32(c, pointers, buffer) || !fill(c, buffer, &entry) {
            return Ok(FAULT);
        }
        pointers = pointers.wrapping_add(4);
        buffer = buffer.wrapping_add(entry.len() as u32);
    }
    Ok(SUCCESS)
}

fn zeros(c: &mut Caller<'_, State>, one: u32, two: u32) -> Errno {
    errno(put_u32(c, one, 0) && put_u32(c, two, 0))
}

fn clock(c: &mut Caller<'_, State>, id: u32, out: u32) -> Errno {
    let clock = c.data().clock;
    match id {
        0 => errno(put_u64(c, out, clock.wall)),
        1 => errno(put_u64(c, out, clock.monotonic)),
        _ => Ok(NOTSUP),
    }
}

fn random_get(c: &mut Caller<'_, State>, out: u32, len: u32) -> Errno {
    if len > MAX_RANDOM {
        return Ok(INVAL);
    }
    let random = &mut c.data_mut().random;
    let bytes: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
    errno(fill(c, out, &bytes))
}
