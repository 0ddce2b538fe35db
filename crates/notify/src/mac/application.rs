//! The main thread: an application without a Dock icon, which hears from AppKit and draws the menu-bar item, while the program runs
//! on a thread beside it.

use super::{INBOX, centre};
use crate::{FromDesktop, menu::Choice};
use dispatch2::DispatchQueue;
use objc2::{
    MainThreadMarker, MainThreadOnly, define_class, msg_send, rc::Retained,
    runtime::ProtocolObject, sel,
};
use objc2_app_kit::{
    NSAlert, NSApplication, NSApplicationActivationPolicy, NSApplicationDelegate,
    NSApplicationTerminateReply, NSEvent, NSEventModifierFlags, NSEventType, NSWorkspace,
    NSWorkspaceDidWakeNotification,
};
use objc2_foundation::{NSNotification, NSObject, NSObjectProtocol, NSPoint, NSString};
use std::{
    panic,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

/// Whether the main thread takes work.
static RUNS: AtomicBool = AtomicBool::new(false);
/// Whether macOS wants us to end, and waits for it: the person logs out or restarts.
static WANTED_GONE: AtomicBool = AtomicBool::new(false);

define_class!(
    // SAFETY: NSObject asks nothing of those who inherit from it, and this one has no `Drop`.
    #[unsafe(super(NSObject))]
    #[thread_kind = MainThreadOnly]
    #[name = "BackupwatchApplicationDelegate"]
    struct Delegate;

    // SAFETY: NSObjectProtocol asks nothing more.
    unsafe impl NSObjectProtocol for Delegate {}

    // SAFETY: the methods have the types that the protocol gives them.
    unsafe impl NSApplicationDelegate for Delegate {
        /// A double click in Finder on an app that runs already.
        #[unsafe(method(applicationShouldHandleReopen:hasVisibleWindows:))]
        fn should_handle_reopen(&self, _app: &NSApplication, _windows: bool) -> bool {
            INBOX.put(FromDesktop::Menu(Choice::Open));
            false
        }

        /// A backup is ended politely before macOS goes on.
        #[unsafe(method(applicationShouldTerminate:))]
        fn should_terminate(&self, _app: &NSApplication) -> NSApplicationTerminateReply {
            WANTED_GONE.store(true, Ordering::SeqCst);
            INBOX.put(FromDesktop::Menu(Choice::Quit));
            NSApplicationTerminateReply::TerminateLater
        }
    }

    impl Delegate {
        #[unsafe(method(didWake:))]
        fn did_wake(&self, _notification: &NSNotification) {
            INBOX.put(FromDesktop::Woke);
        }
    }
);

impl Delegate {
    fn new(main: MainThreadMarker) -> Retained<Self> {
        let this = Self::alloc(main).set_ivars(());
        // SAFETY: `init` of NSObject takes nothing and gives the object back.
        unsafe { msg_send![super(this), init] }
    }
}

pub(crate) fn run<T: Send + 'static>(program: impl FnOnce() -> T + Send + 'static) -> T {
    let Some(main) = MainThreadMarker::new() else {
        return program();
    };
    // Both before the application has launched, or a click that started us is lost.
    let _notices = centre::begin();
    let delegate = Delegate::new(main);
    let app = NSApplication::sharedApplication(main);
    app.setActivationPolicy(NSApplicationActivationPolicy::Accessory);
    app.setDelegate(Some(ProtocolObject::from_ref(&*delegate)));
    // The default centre never tells of it.
    let workspace = NSWorkspace::sharedWorkspace().notificationCenter();
    // SAFETY: `didWake:` is a method of the delegate that takes one notification, and the delegate is taken off the list below,
    // before it is let go of. The name is a constant of AppKit.
    unsafe {
        workspace.addObserver_selector_name_object(
            &delegate,
            sel!(didWake:),
            Some(NSWorkspaceDidWakeNotification),
            None,
        );
    }
    RUNS.store(true, Ordering::SeqCst);
    let program = thread::spawn(move || {
        let _end = End;
        program()
    });
    app.run();
    // SAFETY: the delegate is the one that was put there.
    unsafe { workspace.removeObserver(&delegate) };
    match program.join() {
        Ok(result) => result,
        Err(panicked) => panic::resume_unwind(panicked),
    }
}

/// Ends the application when the program has ended, also by a panic.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        RUNS.store(false, Ordering::SeqCst);
        DispatchQueue::main().exec_async(|| {
            let Some(main) = MainThreadMarker::new() else {
                return;
            };
            let app = NSApplication::sharedApplication(main);
            if WANTED_GONE.load(Ordering::SeqCst) {
                // This does not come back.
                app.replyToApplicationShouldTerminate(true);
            }
            app.stop(None);
            // The wish to stop is looked at after an event.
            let event = NSEvent::otherEventWithType_location_modifierFlags_timestamp_windowNumber_context_subtype_data1_data2(
                NSEventType::ApplicationDefined,
                NSPoint::new(0.0, 0.0),
                NSEventModifierFlags::empty(),
                0.0,
                0,
                None,
                0,
                0,
                0,
            );
            if let Some(event) = event {
                app.postEvent_atStart(&event, true);
            }
        });
    }
}

/// A window with one button. Waits until it is pressed.
pub(crate) fn alert(title: String, text: String) {
    if !RUNS.load(Ordering::SeqCst) || MainThreadMarker::new().is_some() {
        return;
    }
    let (read, was_read) = mpsc::channel();
    DispatchQueue::main().exec_async(move || {
        if let Some(main) = MainThreadMarker::new() {
            let app = NSApplication::sharedApplication(main);
            // Without it the window of an app that has no Dock icon opens behind all others.
            #[expect(deprecated, reason = "its successor is not there before macOS 14")]
            app.activateIgnoringOtherApps(true);
            let alert = NSAlert::new(main);
            alert.setMessageText(&NSString::from_str(&title));
            alert.setInformativeText(&NSString::from_str(&text));
            alert.runModal();
        }
        // Whoever waited may have been given up on.
        let _ = read.send(());
    });
    // An error means that the main thread is gone, and nobody can read anything any more.
    let _ = was_read.recv();
}
