//! The oracle: judges whether a run kept the guarantee. (ARCHITECTURE.md and README.md say what the guarantee is.)
//!
//! While a system is under load or under attack, each client writes down what it sends, what it is told and what its
//! application is shown. When all is over and every client has caught up, the rows of the store are added, and the judge
//! compares: the [rules](Rule) are few, each way to break one is a [`Kind`], and a [`Violation`] names the client, the
//! conversation, the number, the text and the lines that contradict each other.
//!
//! ```
//! use uschat_examples::oracle::{ContentHash, Journal, Kind, Record};
//! use uschat_proto::chat::{ThreadId, UserId};
//!
//! let (ada, ben, thread) = (UserId(1001), UserId(1002), ThreadId(1));
//! let journal = Journal::in_memory();
//! let (of_ada, of_ben) = (journal.history(ada), journal.history(ben));
//! of_ada.connected();
//! of_ben.connected();
//! of_ada.sent("a-1", Some(thread), "hi");
//! of_ada.acknowledged("a-1", Some(thread), 1);
//! // Ben's application was shown nothing.
//!
//! journal.write(Record::Members { conversation: thread, users: vec![ada, ben], after: 0 });
//! let hash = ContentHash::of(b"hi");
//! journal.write(Record::Stored { conversation: thread, seq: 1, msgid: "a-1".into(), sender: ada, hash });
//!
//! let verdict = journal.evidence()?.judge(10)?;
//! assert!(!verdict.holds());
//! assert_eq!(verdict.count(Kind::Unseen), 1);
//! assert_eq!(verdict.violations[0].client, Some(ben));
//! # Ok::<(), uschat_examples::oracle::BadEvidence>(())
//! ```
//!
//! # Files
//!
//! A journal in a file is lines of JSON, one [`Record`] each, so clients in any language can write one. `hash` is FNV-1a of
//! the content with 64 bits, as 16 hexadecimal digits ([`ContentHash`]); `at_us` are microseconds of any clock that all
//! writers share; `seq` is the number in the conversation.
//!
//! ```text
//! {"connect":{"user":1001}}                                     at every login; the second is a reconnect
//! {"send":{"user":1001,"msgid":"a-1","conversation":1,"hash":"08ba5f07b55ec3da","at_us":1763719200000000}}
//!                                                               before each attempt; conversation may be absent
//! {"ack":{"user":1001,"msgid":"a-1","conversation":1,"seq":1,"at_us":1763719200000813}}      or without conversation
//! {"refused":{"user":1001,"msgid":"a-2","code":3101}}
//! {"recv":{"user":1002,"conversation":1,"seq":1,"msgid":"a-1","sender":1001,"hash":"08ba5f07b55ec3da"}}
//! {"members":{"conversation":1,"users":[1001,1002],"after":0}}  after: the last number before the run, 0 if absent
//! {"stored":{"conversation":1,"seq":1,"msgid":"a-1","sender":1001,"hash":"08ba5f07b55ec3da"}}   every row, at the end
//! {"healed":{"fault":"K1 round 3","at_us":1763719205000000}}
//! ```
//!
//! A file may mix all of these, of many clients; what one client writes keeps its order. The program `oracle` reads such
//! files and prints the verdict.
//!
//! # Limits
//!
//! A row without an id (`msgid` empty) is judged where it is shown and numbered, not where it is sent. Users without a
//! history are not judged. A user has one history: several devices of one user are one application to this judge.
//! Acknowledgements do not count as sightings for A4: tasks that wait for answers and tasks that read texts have no order
//! among themselves. Of a text sent again with other content any of the contents may be stored.
//!
//! Besides the judge there are two small checks of what the rules do not see: [`Usage`] (A8: do open files, threads and
//! memory return to where they were?) and [`LogCheck`] (A10: no panic, and each fault is in the log).

mod evidence;
mod journal;
mod judge;
mod log_check;
mod record;
mod recovery;
mod usage;
mod verdict;
mod violation;

pub use evidence::{BadEvidence, Evidence, Place};
pub use journal::{History, Journal, now_us, read_file};
pub use log_check::{LogCheck, LogFault};
pub use record::{ContentHash, InvalidHash, Record};
pub use recovery::Recovery;
pub use usage::{Growth, Usage};
pub use verdict::{Counts, Verdict};
pub use violation::{Kind, Rule, Violation};
