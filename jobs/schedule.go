package jobs

// Scheduled is the work that comes by the schedule of a name, and whether there is
// such a schedule.
func Scheduled(name string) (Args, bool) {
	for _, args := range []Args{RefreshOverlays{}, CollectOverlays{}, CheckGame{}, RestartEmpty{}} {
		if args.Kind() == name {
			return args, true
		}
	}
	return nil, false
}
