//! SIGINT and SIGTERM: no file is left half-written, no folder of ours stays, and the terminal echoes again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held while a file is written. The program ends between two writes only.
static WRITING: Mutex<()> = Mutex::new(());
/// Folders that are removed when a signal ends the program.
static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Runs `action`, during which no signal ends the program if [`handle`] was called.
pub(crate) fn uninterrupted<T>(action: impl FnOnce() -> T) -> T {
    let _held = locked(&WRITING);
    action()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Creates a folder by `create`, which a signal removes with everything in it before it ends the program.
///
/// # Errors
/// The error of `create`.
pub(crate) fn create_folder(create: impl FnOnce() -> io::Result<PathBuf>) -> io::Result<PathBuf> {
    uninterrupted(|| {
        let path = create()?;
        locked(&FOLDERS).push(path.clone());
        Ok(path)
    })
}

/// Removes such a folder with everything in it.
pub(crate) fn remove_folder(path: &Path) {
    uninterrupted(|| {
        // The system removes folders in memory in the end.
        let _ = fs::remove_dir_all(path);
        locked(&FOLDERS).retain(|folder| folder != path);
    });
}

/// Leaves such a folder where it is.
pub(crate) fn keep_folder(path: &Path) {
    locked(&FOLDERS).retain(|folder| folder != path);
}

#[cfg(unix)]
pub(crate) use unix::{HiddenInput, handle, run_editor};

#[cfg(unix)]
mod unix {
    use std::future::poll_fn;
    use std::io;
    use std::process::{Command, ExitStatus};
    use std::sync::mpsc::{Sender, channel};
    use std::sync::{Mutex, MutexGuard, TryLockError};
    use std::task::{Context, Poll};
    use std::time::{Duration, Instant};

    use rustix::process::{Pid, Signal as Sent, kill_process, test_kill_process};
    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
    use tokio::runtime::Runtime;
    use tokio::signal::unix::{Signal, SignalKind, signal};
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    use crate::error::Error;
    use crate::interrupt::{FOLDERS, locked, uninterrupted};

    /// The settings of the terminal before a prompt or an editor.
    static TERMINAL: Mutex<Option<Termios>> = Mutex::new(None);
    /// Held while a prompt may change the settings of the terminal.
    static PROMPT: Mutex<()> = Mutex::new(());
    /// The editor that runs.
    static EDITOR: Mutex<Editor> = Mutex::new(Editor::None);
    /// To the thread that handles signals, if there is one.
    static ENDS_OF_EDITORS: Mutex<Option<UnboundedSender<Sender<()>>>> = Mutex::new(None);

    const SIGINT: i32 = 128 + 2;
    /// Time for an editor to end after SIGTERM.
    const TERMINATION_TIMEOUT: Duration = Duration::from_secs(2);
    /// Interval at which a process is polled that is to end.
    const POLL_INTERVAL: Duration = Duration::from_millis(10);
    /// Time for a prompt that was interrupted to end. One that waits for its answer changes no settings any more.
    const PROMPT_TIMEOUT: Duration = Duration::from_millis(200);

    #[derive(Clone, Copy)]
    enum Editor {
        None,
        Starting,
        Running(Pid),
    }

    /// Ends the program after a signal with 128 and its number. A write that has begun is completed before. SIGINT is left to an editor
    /// that runs.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn handle() -> Result<(), Error> {
        let failed = |cause| Error::Internal { operation: "handle signals", cause };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let mut signals = listen(&runtime).map_err(failed)?;
        let (sender, mut ends_of_editors) = unbounded_channel();
        *locked(&ENDS_OF_EDITORS) = Some(sender);
        std::thread::spawn(move || {
            loop {
                match runtime.block_on(next(&mut signals, &mut ends_of_editors)) {
                    Event::Signal(code) => act_on(code),
                    Event::EndOfEditor(_done) => {
                        while let Some(code) = runtime.block_on(pending(&mut signals)) {
                            act_on(code);
                        }
                    }
                }
            }
        });
        Ok(())
    }

    fn act_on(code: i32) {
        if code == SIGINT && !matches!(*locked(&EDITOR), Editor::None) {
            return;
        }
        uninterrupted(|| {
            end_editor();
            for folder in locked(&FOLDERS).iter() {
                // The system removes folders in memory in the end.
                let _ = std::fs::remove_dir_all(folder);
            }
            await_prompt();
            restore_terminal();
            std::process::exit(code)
        });
    }

    type Signals = Vec<(Signal, i32)>;

    fn listen(runtime: &Runtime) -> io::Result<Signals> {
        let _guard = runtime.enter();
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        kinds.into_iter().map(|kind| Ok((signal(kind)?, 128 + kind.as_raw_value()))).collect()
    }

    enum Event {
        /// A signal, by its exit code.
        Signal(i32),
        /// The editor has ended. Dropping this says that the signals until then have been acted on.
        EndOfEditor(Sender<()>),
    }

    async fn next(signals: &mut Signals, ends_of_editors: &mut UnboundedReceiver<Sender<()>>) -> Event {
        poll_fn(|context| match arrived(signals, context) {
            Some(code) => Poll::Ready(Event::Signal(code)),
            None => match ends_of_editors.poll_recv(context) {
                Poll::Ready(Some(done)) => Poll::Ready(Event::EndOfEditor(done)),
                _ => Poll::Pending,
            },
        })
        .await
    }

    /// A signal that the process has received already.
    async fn pending(signals: &mut Signals) -> Option<i32> {
        // The runtime takes in signals whenever it polls nothing else.
        tokio::task::yield_now().await;
        poll_fn(|context| Poll::Ready(arrived(signals, context))).await
    }

    fn arrived(signals: &mut Signals, context: &mut Context<'_>) -> Option<i32> {
        signals.iter_mut().find_map(|(signal, code)| signal.poll_recv(context).is_ready().then_some(*code))
    }

    /// Runs an editor to its end. Meanwhile SIGINT does not end this program, and other signals end the editor first.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn run_editor(command: &mut Command) -> io::Result<ExitStatus> {
        locked(&TERMINAL).clone_from(&tcgetattr(io::stdin()).ok());
        *locked(&EDITOR) = Editor::Starting;
        let ended = command.spawn().and_then(|mut child| {
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            *locked(&EDITOR) = pid.map_or(Editor::Starting, Editor::Running);
            child.wait()
        });
        act_on_signals_until_now();
        *locked(&EDITOR) = Editor::None;
        ended
    }

    /// Waits until what has arrived while the editor ran was acted on: afterwards SIGINT would end the program.
    fn act_on_signals_until_now() {
        let Some(ends_of_editors) = locked(&ENDS_OF_EDITORS).clone() else { return };
        let (done, all_done) = channel();
        if ends_of_editors.send(done).is_ok() {
            // Nothing is sent: the other end is dropped.
            let _ = all_done.recv();
        }
    }

    fn end_editor() {
        let begun = Instant::now();
        let Some(pid) = running_editor(begun) else { return };
        // An editor that has ended meanwhile needs no signal.
        let _ = kill_process(pid, Sent::TERM);
        while test_kill_process(pid).is_ok() && begun.elapsed() < TERMINATION_TIMEOUT {
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// The editor that runs, if there is one. One that is just being started may do its first work before its process ID is known.
    fn running_editor(begun: Instant) -> Option<Pid> {
        loop {
            match *locked(&EDITOR) {
                Editor::Running(pid) => return Some(pid),
                Editor::Starting if begun.elapsed() < TERMINATION_TIMEOUT => {}
                Editor::Starting | Editor::None => return None,
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Waits until a prompt has set the terminal for the last time: `rpassword` hides the input once more when it begins, and when a
    /// signal interrupts it, returns to the settings that it has found, which are those of [`HiddenInput`].
    fn await_prompt() {
        let begun = Instant::now();
        while matches!(PROMPT.try_lock(), Err(TryLockError::WouldBlock)) && begun.elapsed() < PROMPT_TIMEOUT {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A terminal that shows nothing of what is typed, until this is dropped or a signal ends the program.
    pub(crate) struct HiddenInput {
        _prompt: MutexGuard<'static, ()>,
    }

    impl HiddenInput {
        /// Turns the echo off, and the kernel's editing of lines, which cuts a line after 4095 bytes.
        pub(crate) fn start() -> Self {
            let prompt = locked(&PROMPT);
            let before = tcgetattr(io::stdin()).ok();
            locked(&TERMINAL).clone_from(&before);
            if let Some(mut hidden) = before {
                hidden.local_modes -= LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON;
                // If stdin is not a terminal, the prompt says so.
                let _ = tcsetattr(io::stdin(), OptionalActions::Now, &hidden);
            }
            Self { _prompt: prompt }
        }
    }

    impl Drop for HiddenInput {
        fn drop(&mut self) {
            restore_terminal();
        }
    }

    fn restore_terminal() {
        if let Some(before) = locked(&TERMINAL).as_ref() {
            // If the terminal is gone, nobody sees its settings.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// Does nothing: the system ends the program, and the console returns to its settings by itself.
#[cfg(not(unix))]
pub(crate) fn handle() -> Result<(), crate::error::Error> {
    Ok(())
}

/// Nothing: the prompt itself turns the echo of the console off.
#[cfg(not(unix))]
pub(crate) struct HiddenInput(());

#[cfg(not(unix))]
impl HiddenInput {
    /// Does nothing.
    pub(crate) fn start() -> Self {
        Self(())
    }
}

/// Runs an editor to its end.
#[cfg(not(unix))]
pub(crate) fn run_editor(command: &mut std::process::Command) -> io::Result<std::process::ExitStatus> {
    command.status()
}
