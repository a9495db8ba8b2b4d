//! The commands, one file each: read, build, compute, write.

pub(crate) mod bench;
pub(crate) mod convert;
pub(crate) mod init;
pub(crate) mod manual;
pub(crate) mod pack;
pub(crate) mod randn;
pub(crate) mod run;
pub(crate) mod stream;
pub(crate) mod unpack;
