//! A thread that prepares batches ahead of the step that uses them.

use std::any::Any;
use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use crate::base::{Error, Result};

/// Prepared items in the order of their steps. Dropping it ends the thread after the item in work.
#[derive(Debug)]
pub struct Prefetch<T> {
    /// `None` once the thread has been told to end.
    receiver: Option<Receiver<Result<T>>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Prefetch<T> {
    /// Starts a thread that calls `make` for each step in order and holds at most `ahead` finished items (at least 1;
    /// 2 or 3 hide the work of most sets) beside the one in work. The first error ends it.
    ///
    /// # Errors
    /// [`Error::Io`] when the system has no thread to give.
    pub fn new(
        steps: Range<u64>,
        ahead: usize,
        mut make: impl FnMut(u64) -> Result<T> + Send + 'static,
    ) -> Result<Self> {
        let (sender, receiver) = sync_channel(ahead.max(1));
        let work = move || {
            for step in steps {
                let item = make(step);
                let failed = item.is_err();
                // A closed channel means that nobody waits any more.
                if sender.send(item).is_err() || failed {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("prefetch".into())
            .spawn(work)
            .map_err(|source| Error::Io { context: "cannot start the prefetch thread".into(), source })?;
        Ok(Self { receiver: Some(receiver), thread: Some(thread) })
    }
}

impl<T> Iterator for Prefetch<T> {
    type Item = Result<T>;

    /// Waits for the next item. After the last step, or after an error, there is none.
    fn next(&mut self) -> Option<Result<T>> {
        match self.receiver.as_ref()?.recv() {
            Ok(item) => Some(item),
            Err(_) => {
                self.receiver = None;
                let panic = self.thread.take()?.join().err()?;
                Some(Err(Error::Data(format!("the prefetch thread failed: {}", text_of(&*panic)))))
            }
        }
    }
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given")
}

impl<T> Drop for Prefetch<T> {
    fn drop(&mut self) {
        // Closing the channel first wakes a thread that waits for room in it.
        self.receiver = None;
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has no reader any more.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn items_come_in_order_and_end() {
        let items: Vec<u64> = Prefetch::new(3..40, 2, |s| Ok(s * s)).unwrap().map(|x| x.unwrap()).collect();
        assert_eq!(items, (3..40).map(|s| s * s).collect::<Vec<_>>());
    }

    #[test]
    fn works_ahead_but_not_too_far() {
        let made = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&made);
        let mut prefetch = Prefetch::new(0..1000, 3, move |s| {
            count.store(s + 1, Ordering::SeqCst);
            Ok(s)
        })
        .unwrap();
        let reaches = |n| {
            let start = Instant::now();
            while made.load(Ordering::SeqCst) < n && start.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(30));
            made.load(Ordering::SeqCst)
        };
        // Three in the channel and one in hand.
        assert_eq!(reaches(4), 4);
        assert_eq!(prefetch.next().unwrap().unwrap(), 0);
        assert_eq!(reaches(5), 5);
        // Drop must not wait for the other 995.
        drop(prefetch);
        assert!(made.load(Ordering::SeqCst) <= 6);
        assert_eq!(Arc::strong_count(&made), 1, "the thread has ended and dropped its closure");
    }

    #[test]
    fn an_error_is_passed_on_and_ends_it() {
        let mut prefetch =
            Prefetch::new(0..10, 2, |s| if s == 2 { Err(Error::Data("record 2 is gone".into())) } else { Ok(s) })
                .unwrap();
        assert_eq!((prefetch.next().unwrap().unwrap(), prefetch.next().unwrap().unwrap()), (0, 1));
        assert_eq!(prefetch.next().unwrap().unwrap_err().to_string(), "record 2 is gone");
        assert!(prefetch.next().is_none() && prefetch.next().is_none());
    }

    #[test]
    fn a_panic_becomes_an_error() {
        let mut prefetch = Prefetch::new(0..10, 2, |s| {
            assert!(s < 1, "step {s} broke");
            Ok(s)
        })
        .unwrap();
        assert_eq!(prefetch.next().unwrap().unwrap(), 0);
        let error = prefetch.next().unwrap().unwrap_err().to_string();
        assert!(error.contains("step 1 broke"), "{error}");
        assert!(prefetch.next().is_none());
    }
}
