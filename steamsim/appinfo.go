package steamsim

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// appInfoPrint shows what Steam knows of the app. The first time in a Steam
// home nothing is cached yet and the tree is missing; later the cache answers,
// however old it is. Both as with the real one.
func (s *session) appInfoPrint(args []string) {
	if len(args) == 0 {
		s.out.print("Usage: app_info_print <appid>\n")
		return
	}
	if s.account == "" {
		s.out.print("ERROR! Failed to request AppInfo update, not online or not logged in to Steam.\n")
		s.failed(8)
		return
	}
	cache := s.home.path("appcache", "appinfo.vdf")
	cached, err := os.ReadFile(cache)
	if err != nil || args[0] != appID {
		s.out.printf("No app info for AppID %s found, requesting...\n", args[0])
		if err := writeFile(cache, []byte(s.build()), 0o644); err != nil {
			s.home.log("stderr.txt", err.Error())
		}
		return
	}
	s.out.printf("AppID : %s, change number : 31415926/0, last change : %s\n",
		appID, time.Unix(appBuilt, 0).UTC().Format("Mon Jan 2 15:04:05 2006"))
	s.out.print(appInfo(s.account == "anonymous", string(cached)))
}

// appBuilt is when the public build was made, in seconds of the epoch.
const appBuilt = 1782907200

// appInfo is the KeyValues tree of the app. Anonymous accounts are shown no
// Linux depot.
func appInfo(anonymous bool, build string) string {
	var b strings.Builder
	line := func(tabs int, parts ...string) {
		b.WriteString(strings.Repeat("\t", tabs))
		for i, p := range parts {
			if i > 0 {
				b.WriteString("\t\t")
			}
			b.WriteString(strconv.Quote(p))
		}
		b.WriteByte('\n')
	}
	brace := func(tabs int, which string) { fmt.Fprintf(&b, "%s%s\n", strings.Repeat("\t", tabs), which) }
	line(0, appID)
	brace(0, "{")
	line(1, "common")
	brace(1, "{")
	line(2, "name", appName)
	line(2, "type", "Tool")
	line(2, "gameid", appID)
	brace(1, "}")
	line(1, "depots")
	brace(1, "{")
	for _, d := range depots {
		if anonymous && d.platform == "linux" {
			continue
		}
		line(2, d.id)
		brace(2, "{")
		line(3, "config")
		brace(3, "{")
		if d.platform != "" {
			line(4, "oslist", d.platform)
		}
		brace(3, "}")
		line(3, "manifests")
		brace(3, "{")
		line(4, "public")
		brace(4, "{")
		line(5, "gid", d.manifest)
		line(5, "size", strconv.FormatInt(d.size, 10))
		line(5, "download", strconv.FormatInt(d.size/2, 10))
		brace(4, "}")
		brace(3, "}")
		brace(2, "}")
	}
	line(2, "branches")
	brace(2, "{")
	line(3, "public")
	brace(3, "{")
	line(4, "buildid", build)
	line(4, "timeupdated", strconv.Itoa(appBuilt))
	brace(3, "}")
	brace(2, "}")
	brace(1, "}")
	brace(0, "}")
	return b.String()
}
