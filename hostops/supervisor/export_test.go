package supervisor

import "time"

// SetInUseLimit shortens the wait for a former mount to go away.
func (r *Rootless) SetInUseLimit(d time.Duration) { r.inUse = d }
