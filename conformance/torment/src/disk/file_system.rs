//! What the kernel asks of a disk, and what it is answered.

use super::{Held, LOG, Shared, State, Trouble, state};
use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use rand::Rng;
use std::ffi::OsStr;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The kernel asks each time: what it knew would be wrong after a loss of power.
const TTL: Duration = Duration::ZERO;
const NO_HANDLE: FileHandle = FileHandle(0);
/// Nothing is kept in the kernel's cache, for the same reason.
const DIRECTLY: FopenFlags = FopenFlags::FOPEN_DIRECT_IO;

/// One directory of files.
pub struct FileSystem(Shared);

impl FileSystem {
    /// The files of this disk.
    pub fn of(shared: &Shared) -> FileSystem {
        FileSystem(Arc::clone(shared))
    }

    /// The disk, if its power is on.
    fn on(&self) -> Result<MutexGuard<'_, State>, Errno> {
        let state = state(&self.0);
        if state.trouble == Trouble::Off { Err(Errno::EIO) } else { Ok(state) }
    }
}

/// Does the syncs that were held up. A write that is torn ends with an error.
pub fn go_on(state: &mut State) {
    for held in std::mem::take(&mut state.held) {
        match held {
            Held::Sync(file, reply) => answer(reply, state.sync(file)),
            Held::Write(reply) => reply.error(Errno::EIO),
        }
    }
}

impl State {
    fn sync(&mut self, file: Option<u64>) -> Result<(), Errno> {
        match file {
            Some(file) if self.trouble == Trouble::FailingSync && self.is_log(file) => {
                self.trouble = Trouble::Nothing;
                self.counts.failed += 1;
                self.image.sync_fails(file, &mut self.random)?;
                Err(Errno::EIO)
            }
            Some(file) => Ok(self.image.sync(file)?),
            None => {
                self.image.sync_names();
                Ok(())
            }
        }
    }

    fn is_log(&self, file: u64) -> bool {
        let name = self.image.name_of(file).and_then(OsStr::to_str);
        name.is_some_and(|name| name.starts_with(LOG))
    }

    /// There is no room for more.
    fn refuse(&mut self) -> Errno {
        self.counts.refused += 1;
        Errno::ENOSPC
    }

    fn attributes(&self, file: u64, request: &Request) -> Result<FileAttr, Errno> {
        Ok(attributes(INodeNo(file), self.image.size(file)?, FileType::RegularFile, request))
    }

    fn create(&mut self, name: &OsStr, request: &Request) -> Result<FileAttr, Errno> {
        if self.trouble == Trouble::Full {
            return Err(self.refuse());
        }
        let file = self.image.create(name)?;
        self.image.opened(file)?;
        self.attributes(file, request)
    }

    /// How many bytes were written.
    fn write(&mut self, file: u64, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        if self.trouble == Trouble::FailingWrite && self.is_log(file) {
            self.trouble = Trouble::Nothing;
            self.counts.failed += 1;
            return Err(Errno::EIO);
        }
        let mut bytes = bytes;
        if self.trouble == Trouble::Full {
            // What has room already can be written.
            let room = self.image.size(file)?.saturating_sub(offset);
            let room = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
            if room == 0 && !bytes.is_empty() {
                return Err(self.refuse());
            }
            bytes = &bytes[..room];
        }
        self.image.write(file, offset, bytes)?;
        Ok(bytes.len())
    }
}

fn attributes(ino: INodeNo, size: u64, kind: FileType, request: &Request) -> FileAttr {
    let time: SystemTime = UNIX_EPOCH;
    FileAttr {
        ino,
        size,
        blocks: size.div_ceil(512),
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind,
        perm: if kind == FileType::Directory { 0o700 } else { 0o600 },
        nlink: 1,
        uid: request.uid(),
        gid: request.gid(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn answer(reply: ReplyEmpty, done: Result<(), Errno>) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for FileSystem {
    fn lookup(&self, request: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.on().and_then(|state| {
            let file = state.image.find(name).ok_or(Errno::ENOENT)?;
            state.attributes(file, request)
        });
        match found {
            Ok(found) => reply.entry(&TTL, &found, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, request: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        if ino == INodeNo::ROOT {
            return reply.attr(&TTL, &attributes(ino, 0, FileType::Directory, request));
        }
        match self.on().and_then(|state| state.attributes(ino.0, request)) {
            Ok(found) => reply.attr(&TTL, &found),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        request: &Request,
        ino: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let done = self.on().and_then(|mut state| {
            if let Some(size) = size {
                if state.trouble == Trouble::Full && size > state.image.size(ino.0)? {
                    return Err(state.refuse());
                }
                state.image.set_size(ino.0, size)?;
            }
            state.attributes(ino.0, request)
        });
        match done {
            Ok(now) => reply.attr(&TTL, &now),
            Err(error) => reply.error(error),
        }
    }

    fn create(
        &self,
        request: &Request,
        _parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        match self.on().and_then(|mut state| state.create(name, request)) {
            Ok(made) => reply.created(&TTL, &made, Generation(0), NO_HANDLE, DIRECTLY),
            Err(error) => reply.error(error),
        }
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.on().and_then(|mut state| Ok(state.image.opened(ino.0)?)) {
            Ok(()) => reply.opened(NO_HANDLE, DIRECTLY),
            Err(error) => reply.error(error),
        }
    }

    fn release(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        // Also of a disk that is off: processes that were killed close their files.
        state(&self.0).image.closed(ino.0);
        reply.ok();
    }

    fn read(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.on().and_then(|state| Ok(state.image.read(ino.0, offset, u64::from(size))?)) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut state = match self.on() {
            Ok(state) => state,
            Err(error) => return reply.error(error),
        };
        let is_torn = state.trouble == Trouble::TornWrite && state.is_log(ino.0) && data.len() > 1;
        if is_torn {
            let part = state.random.random_range(1..data.len());
            if let Err(error) = state.write(ino.0, offset, &data[..part]) {
                return reply.error(error);
            }
            state.counts.torn += 1;
            state.held.push(Held::Write(reply));
            return;
        }
        match state.write(ino.0, offset, data) {
            Ok(written) => reply.written(u32::try_from(written).unwrap_or(u32::MAX)),
            Err(error) => reply.error(error),
        }
    }

    fn fsync(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        self.sync(Some(ino.0), reply);
    }

    fn fsyncdir(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        self.sync(None, reply);
    }

    fn unlink(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.on().and_then(|mut state| Ok(state.image.remove(name)?)));
    }

    fn rename(
        &self,
        _request: &Request,
        _parent: INodeNo,
        name: &OsStr,
        _new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let done = match flags.is_empty() {
            true => self.on().and_then(|mut state| Ok(state.image.rename(name, new_name)?)),
            false => Err(Errno::EINVAL),
        };
        answer(reply, done);
    }

    fn readdir(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let names = match self.on() {
            Ok(state) => state.image.names(),
            Err(error) => return reply.error(error),
        };
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        for (next, (name, file)) in (1..).zip(names).skip(skipped) {
            if reply.add(INodeNo(file), next, FileType::RegularFile, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        const MANY: u64 = 1 << 20;
        reply.statfs(MANY, MANY, MANY, MANY, MANY, 4096, 255, 4096);
    }
}

impl FileSystem {
    fn sync(&self, file: Option<u64>, reply: ReplyEmpty) {
        let mut state = match self.on() {
            Ok(state) => state,
            Err(error) => return reply.error(error),
        };
        match state.trouble {
            Trouble::HangingSyncs => {
                state.counts.held += 1;
                state.held.push(Held::Sync(file, reply));
            }
            Trouble::Lies => {
                state.counts.lies += 1;
                reply.ok();
            }
            _ => answer(reply, state.sync(file)),
        }
    }
}
