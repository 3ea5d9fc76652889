#pragma once

namespace stemma::virt {

/// Registers libvirt's default event implementation and runs it in a thread of its own; once per
/// process, before the first connection: without it keepalive cannot be set and no event arrives.
void ensure_event_loop();

} // namespace stemma::virt
