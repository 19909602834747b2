//! The settings that request 1009 changes while the server runs.
//!
//! Everything else that 1009 accepts is stored and listed, and acts (if at all) at the next start
//! with the stored file. Source: upstream's fields that are read at each use.

use super::settings::Settings;

/// How brokers are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokerPolicy {
    /// `enableElectUncleanMaster`: a replica outside the sync-state set may become master.
    pub is_unclean_allowed: bool,
    /// `notifyBrokerRoleChanged`: brokers are told of their new role.
    pub is_notified: bool,
}

/// Settings that may change while running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live {
    /// How brokers are treated.
    pub brokers: BrokerPolicy,
    /// `serverChannelMaxIdleTimeSeconds`, for new connections; 0 is never.
    pub idle_secs_max: u32,
    /// `enableShutdownGracefully`.
    pub is_shutdown_graceful: bool,
}

/// One setting that changed, with its new value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveChange {
    /// `enableElectUncleanMaster`.
    UncleanElection(bool),
    /// `notifyBrokerRoleChanged`.
    NotifyBrokers(bool),
    /// `serverChannelMaxIdleTimeSeconds`.
    IdleSecsMax(u32),
    /// `enableShutdownGracefully`.
    ShutdownGracefully(bool),
}

impl Live {
    /// Reads the live settings; negative numbers count as 0.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let idle_secs = settings.amount("serverChannelMaxIdleTimeSeconds");
        Self {
            brokers: BrokerPolicy {
                is_unclean_allowed: settings.is_true("enableElectUncleanMaster"),
                is_notified: settings.is_true("notifyBrokerRoleChanged"),
            },
            idle_secs_max: u32::try_from(idle_secs).unwrap_or(u32::MAX),
            is_shutdown_graceful: settings.is_true("enableShutdownGracefully"),
        }
    }

    /// What is different in `new`.
    #[must_use]
    pub fn changes_to(&self, new: &Self) -> Vec<LiveChange> {
        let (old_brokers, brokers) = (self.brokers, new.brokers);
        let candidates = [
            (
                old_brokers.is_unclean_allowed != brokers.is_unclean_allowed,
                LiveChange::UncleanElection(brokers.is_unclean_allowed),
            ),
            (
                old_brokers.is_notified != brokers.is_notified,
                LiveChange::NotifyBrokers(brokers.is_notified),
            ),
            (self.idle_secs_max != new.idle_secs_max, LiveChange::IdleSecsMax(new.idle_secs_max)),
            (
                self.is_shutdown_graceful != new.is_shutdown_graceful,
                LiveChange::ShutdownGracefully(new.is_shutdown_graceful),
            ),
        ];
        candidates.into_iter().filter(|(is_changed, _)| *is_changed).map(|(_, new)| new).collect()
    }
}
