//! One operating-system process a server, watched by this one.
//!
//! The children are this same executable with a hidden first argument. Each gets its settings as one line on standard
//! input, binds its own ports and reports them as one line on standard output. The input stays open: its end tells the
//! child to drain, so that it also ends when its parent is killed. A child that ends unasked is started again on its
//! ports.

mod child;
mod gathered;
mod running;
mod supervisor;

pub(super) use self::{
    child::{is_child, main as child_main},
    supervisor::run,
};
