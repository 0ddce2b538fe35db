//! What the agent tells programs outside: only what a person configured, and only from the running agent.

pub mod http;
