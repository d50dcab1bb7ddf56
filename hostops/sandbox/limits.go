package sandbox

import (
	"fmt"
	"time"
)

// The limits, by the word that crosses the socket.
const (
	limitTime   = "time"
	limitMemory = "memory"
	limitDisk   = "disk"
	limitFiles  = "files"
	limitDepth  = "depth"
	limitFree   = "free"
)

// sentence says which limit a script reached and what can be done about it.
func (l Limits) sentence(which string) string {
	raise := func(own, most string) string {
		if own == most {
			return "That is the most that any build on this host may have: let the script do less, or divide the overlay in two."
		}
		return fmt.Sprintf("Raise the limit of this build; up to %s are possible on this host.", most)
	}
	switch which {
	case limitTime:
		own, most := duration(l.Time), duration(HostLimits.Time)
		return fmt.Sprintf("The script was stopped because it had run for %s. %s", own, raise(own, most))
	case limitMemory:
		own, most := size(l.Memory), size(HostLimits.Memory)
		return fmt.Sprintf("The script was stopped because it used more than %s of memory. %s", own, raise(own, most))
	case limitDisk:
		own, most := size(l.Disk), size(HostLimits.Disk)
		return fmt.Sprintf("The script was stopped because it had written more than %s. %s", own, raise(own, most))
	case limitFiles:
		return fmt.Sprintf("The script was stopped because it had made more than %d files. An overlay may not have more: let the script make fewer.", l.Files)
	case limitDepth:
		return fmt.Sprintf("The script was stopped because it had made folders more than %d deep. An overlay may not have them.", maxDepth)
	case limitFree:
		return fmt.Sprintf("The script was stopped because less than %s were left on the disk. Make room on the host, then build again.", size(freeFloor))
	}
	return "The script was stopped because it reached a limit."
}

func duration(d time.Duration) string {
	switch {
	case d%time.Hour == 0 && d > time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	case d%time.Minute == 0 && d > time.Minute:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	case d == time.Second:
		return "1 second"
	}
	return fmt.Sprintf("%g seconds", d.Seconds())
}

func size(n int64) string {
	if n >= 1<<30 {
		return fmt.Sprintf("%.4g GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%.4g MiB", float64(n)/(1<<20))
}
