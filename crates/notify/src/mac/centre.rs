//! Notices in the notification centre of macOS.
//!
//! A notice carries what its answer needs ([`Ticket`]), and the buttons hang on categories that are made known at each start. So an
//! answer is understood by whichever process of ours gets it, also after a restart.

use super::{INBOX, is_bundled};
use crate::{
    FromDesktop, Notifier, Posted,
    click::{Ticket, categories, category},
};
use backupwatch_core::notice::{Notice, Urgency};
use block2::{DynBlock, RcBlock};
use objc2::{
    AnyThread, define_class, msg_send,
    rc::Retained,
    runtime::{Bool, ProtocolObject},
};
use objc2_foundation::{
    NSArray, NSDictionary, NSError, NSObject, NSObjectProtocol, NSSet, NSString,
};
use objc2_user_notifications::{
    UNAuthorizationOptions, UNAuthorizationStatus, UNMutableNotificationContent, UNNotification,
    UNNotificationAction, UNNotificationActionOptions, UNNotificationCategory,
    UNNotificationCategoryOptions, UNNotificationInterruptionLevel,
    UNNotificationPresentationOptions, UNNotificationRequest, UNNotificationResponse,
    UNNotificationSettings, UNNotificationSound, UNUserNotificationCenter,
    UNUserNotificationCenterDelegate,
};
use std::{
    ptr::NonNull,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc as threads},
    time::{Duration, Instant},
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

/// How long the notification centre may take to tell what is allowed.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is asked whether the person has changed their mind.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

const BARE: &str = "macOS shows notices only of the app, not of the bare program";
const DENIED: &str = "macOS does not let backupwatch show any; allow them in System Settings > Notifications > backupwatch";

define_class!(
    // SAFETY: NSObject asks nothing of those who inherit from it, and this one has no `Drop`.
    #[unsafe(super(NSObject))]
    #[name = "BackupwatchNoticesDelegate"]
    struct Delegate;

    // SAFETY: NSObjectProtocol asks nothing more.
    unsafe impl NSObjectProtocol for Delegate {}

    // SAFETY: the methods have the types that the protocol gives them, and each calls its block once.
    unsafe impl UNUserNotificationCenterDelegate for Delegate {
        /// The app that posts is not the one in front, but macOS takes it for that.
        #[unsafe(method(userNotificationCenter:willPresentNotification:withCompletionHandler:))]
        fn will_present(
            &self,
            _centre: &UNUserNotificationCenter,
            _notice: &UNNotification,
            show: &DynBlock<dyn Fn(UNNotificationPresentationOptions)>,
        ) {
            show.call((UNNotificationPresentationOptions::Banner
                | UNNotificationPresentationOptions::List
                | UNNotificationPresentationOptions::Sound,));
        }

        #[unsafe(method(userNotificationCenter:didReceiveNotificationResponse:withCompletionHandler:))]
        fn did_receive(
            &self,
            _centre: &UNUserNotificationCenter,
            response: &UNNotificationResponse,
            done: &DynBlock<dyn Fn()>,
        ) {
            let carried = response.notification().request().content().userInfo();
            let read = |key: &str| {
                let value = carried.objectForKey(&NSString::from_str(key))?;
                let text = value.downcast::<NSString>().ok()?;
                Some(text.to_string())
            };
            let code = response.actionIdentifier().to_string();
            match Ticket::read(read) {
                Some(ticket) => {
                    if let Some(answer) = ticket.answer(&code) {
                        INBOX.put(FromDesktop::Answer(answer));
                    }
                }
                None => tracing::warn!(code, "an answer to a notice that is not one of ours"),
            }
            done.call(());
        }
    }
);

/// Hears answers from now on, as long as what is returned lives: the centre does not keep it alive.
pub(super) fn begin() -> Option<Retained<NSObject>> {
    let centre = centre()?;
    // SAFETY: `init` of NSObject takes nothing and gives the object back.
    let delegate: Retained<Delegate> = unsafe { msg_send![Delegate::alloc(), init] };
    centre.setDelegate(Some(ProtocolObject::from_ref(&*delegate)));
    let known: Vec<_> = categories()
        .iter()
        .map(|buttons| {
            let actions: Vec<_> = buttons
                .iter()
                .map(|action| {
                    UNNotificationAction::actionWithIdentifier_title_options(
                        &NSString::from_str(action.code()),
                        &NSString::from_str(action.label()),
                        UNNotificationActionOptions::empty(),
                    )
                })
                .collect();
            UNNotificationCategory::categoryWithIdentifier_actions_intentIdentifiers_options(
                &NSString::from_str(&category(buttons)),
                &NSArray::from_retained_slice(&actions),
                &NSArray::new(),
                UNNotificationCategoryOptions::empty(),
            )
        })
        .collect();
    centre.setNotificationCategories(&NSSet::from_retained_slice(&known));
    Some(delegate.into_super())
}

/// None outside a bundle, where asking for it would end the process.
fn centre() -> Option<Retained<UNUserNotificationCenter>> {
    is_bundled().then(UNUserNotificationCenter::currentNotificationCenter)
}

/// What the person said to macOS about our notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// They have not been asked, or have not answered yet.
    NotAsked,
    /// They may be shown.
    Granted,
    /// They may not.
    Denied,
}

/// What the person said about the notices of this bundle. None without a bundle, or where macOS does not answer. Blocks for two
/// seconds at the most; not for the main thread.
#[must_use]
pub fn permission() -> Option<Permission> {
    let (tell, told) = threads::channel();
    look(move |permission| {
        // Whoever asked may have given up.
        let _ = tell.send(permission);
    });
    told.recv_timeout(PATIENCE).ok()
}

fn look(then: impl Fn(Permission) + 'static) {
    let Some(centre) = centre() else {
        return;
    };
    let block = RcBlock::new(move |settings: NonNull<UNNotificationSettings>| {
        // SAFETY: the centre hands over settings that live as long as this call.
        let status = unsafe { settings.as_ref() }.authorizationStatus();
        then(match status {
            UNAuthorizationStatus::NotDetermined => Permission::NotAsked,
            UNAuthorizationStatus::Denied => Permission::Denied,
            // Authorized, and quiet forms of it.
            _ => Permission::Granted,
        });
    });
    centre.getNotificationSettingsWithCompletionHandler(&block);
}

/// Asks for permission, which macOS passes on to the person once, and says what came of it when they have answered.
fn ask(centre: &UNUserNotificationCenter, then: impl Fn(Result<(), String>) + 'static) {
    let block = RcBlock::new(move |granted: Bool, error: *mut NSError| {
        let answer = match words(error) {
            _ if granted.as_bool() => Ok(()),
            // The person's own answer comes with an error of this meaning or with none.
            None => Err(DENIED.to_owned()),
            Some(why) => Err(format!("{DENIED} (macOS says: {why})")),
        };
        then(answer);
    });
    let options = UNAuthorizationOptions::Alert | UNAuthorizationOptions::Sound;
    centre.requestAuthorizationWithOptions_completionHandler(options, &block);
}

/// What a block was told to be wrong.
fn words(error: *mut NSError) -> Option<String> {
    // SAFETY: null, or an error that lives as long as the call of the block.
    let error = unsafe { error.as_ref() };
    error.map(|error| error.localizedDescription().to_string())
}

/// The notification centre of macOS.
#[derive(Debug)]
pub struct Desktop {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    trouble: Mutex<Option<String>>,
    looked: Mutex<Instant>,
}

impl Desktop {
    /// Asks for permission. What people choose arrives on `answers`, with everything else that the app hears.
    #[must_use]
    pub fn new(_runtime: Handle, answers: mpsc::Sender<FromDesktop>) -> Self {
        INBOX.listen(answers);
        let shared = Arc::new(Shared {
            trouble: Mutex::new(None),
            looked: Mutex::new(Instant::now()),
        });
        match centre() {
            Some(centre) => {
                let shared = Arc::clone(&shared);
                ask(&centre, move |answer| shared.say(answer));
            }
            None => shared.say(Err(BARE.to_owned())),
        }
        Self { shared }
    }
}

impl Shared {
    fn say(&self, result: Result<(), String>) {
        if let Err(why) = &result {
            tracing::warn!("notices cannot be shown: {why}");
        }
        *lock(&self.trouble) = result.err();
    }

    /// A person may change their mind at any time, and nobody tells.
    fn look_again(self: &Arc<Self>) {
        let mut looked = lock(&self.looked);
        if looked.elapsed() < LOOK_AGAIN {
            return;
        }
        *looked = Instant::now();
        let shared = Arc::clone(self);
        look(move |permission| {
            let mut trouble = lock(&shared.trouble);
            let denied = trouble.as_ref().is_some_and(|why| why.starts_with(DENIED));
            match permission {
                Permission::Granted if denied => *trouble = None,
                Permission::Denied if !denied => *trouble = Some(DENIED.to_owned()),
                Permission::Granted | Permission::Denied | Permission::NotAsked => {}
            }
        });
    }
}

impl Notifier for Desktop {
    fn post(&self, notice: &Notice) -> Posted {
        let (tell, posted) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        // A block may be called again by its type; this one has something to say once.
        let tell = Mutex::new(Some(tell));
        let end = move |result: Result<(), String>| {
            shared.say(result.clone());
            if let Some(tell) = lock(&tell).take() {
                // Nobody may have asked.
                let _ = tell.send(result);
            }
        };
        let Some(centre) = centre() else {
            end(Err(BARE.to_owned()));
            return posted;
        };
        let (notice, end) = (notice.clone(), Arc::new(end));
        // The permission first: before the person has answered, macOS throws notices away without a word.
        ask(&centre, move |answer| match answer {
            Ok(()) => {
                let end = Arc::clone(&end);
                add(&notice, move |result| end(result));
            }
            Err(why) => end(Err(why)),
        });
        posted
    }

    fn trouble(&self) -> Option<String> {
        self.shared.look_again();
        lock(&self.shared.trouble).clone()
    }
}

fn add(notice: &Notice, then: impl Fn(Result<(), String>) + 'static) {
    let content = UNMutableNotificationContent::new();
    content.setTitle(&NSString::from_str(&notice.title));
    content.setBody(&NSString::from_str(&notice.body));
    content.setCategoryIdentifier(&NSString::from_str(&category(&notice.actions)));
    content.setInterruptionLevel(match notice.level {
        Urgency::Quiet => UNNotificationInterruptionLevel::Passive,
        Urgency::Normal => UNNotificationInterruptionLevel::Active,
        Urgency::TimeSensitive => UNNotificationInterruptionLevel::TimeSensitive,
    });
    match notice.level {
        Urgency::Quiet => {}
        Urgency::Normal | Urgency::TimeSensitive => {
            content.setSound(Some(&UNNotificationSound::defaultSound()));
        }
    }
    let pairs = Ticket::of(notice).pairs();
    let keys: Vec<_> = pairs
        .iter()
        .map(|(key, _)| NSString::from_str(key))
        .collect();
    let keys: Vec<&NSString> = keys.iter().map(|key| &**key).collect();
    let values: Vec<_> = pairs
        .iter()
        .map(|(_, value)| NSString::from_str(value))
        .collect();
    let carried = NSDictionary::from_retained_objects(&keys, &values);
    // SAFETY: strings are property lists, which is what may be carried.
    unsafe { content.setUserInfo(carried.cast_unchecked()) };
    // A newer notice under the same name takes the place of the older one.
    let request = UNNotificationRequest::requestWithIdentifier_content_trigger(
        &NSString::from_str(&notice.replaces),
        &content,
        None,
    );
    let block = RcBlock::new(move |error: *mut NSError| {
        then(match words(error) {
            None => Ok(()),
            Some(why) => Err(format!("the notification centre refused ({why})")),
        });
    });
    UNUserNotificationCenter::currentNotificationCenter()
        .addNotificationRequest_withCompletionHandler(&request, Some(&block));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every value behind these locks is replaced whole, so it is sound whoever panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
