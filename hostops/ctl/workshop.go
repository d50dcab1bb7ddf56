package ctl

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// MaxWorkshopItems is how many items and collections are looked at in one go,
// with everything that collections list.
const MaxWorkshopItems = 2000

// maxBadWords bounds what ParseWorkshopIDs gives back of a text it did not
// understand, maxBadWord each of it.
const (
	maxBadWords = 50
	maxBadWord  = 100
)

// IsWorkshopID reports whether s is the number of a workshop item or collection
// as Steam writes it: decimal, without leading zeros, and within 64 bits.
func IsWorkshopID(s string) bool {
	n, err := strconv.ParseUint(s, 10, 64)
	return err == nil && n > 0 && strconv.FormatUint(n, 10) == s
}

// ParseWorkshopIDs finds the numbers of workshop items and collections in what
// somebody has typed or pasted: numbers and URLs of Steam's community pages, any
// number of them, separated by blanks, commas, semicolons or line ends. Each is
// returned once, in the order of the text. Words beside a URL on its line are
// taken for remarks, and so is what follows a "#" at the beginning of a word;
// every other word that is neither comes back in bad, shortened.
func ParseWorkshopIDs(text string) (ids, bad []string) {
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		var odd []string
		linked := false
		for word := range strings.FieldsFuncSeq(line, separates) {
			if strings.HasPrefix(word, "#") {
				break
			}
			word = strings.Trim(word, `"'<>()[]{}`)
			id, link := workshopID(word)
			linked = linked || link
			switch {
			case id == "" && word != "":
				odd = append(odd, word)
			case id != "" && !seen[id]:
				seen[id] = true
				ids = append(ids, id)
			}
		}
		if linked {
			odd = slices.DeleteFunc(odd, func(word string) bool { return !strings.Contains(word, "://") })
		}
		for _, word := range odd {
			if len(bad) < maxBadWords {
				bad = append(bad, strings.ToValidUTF8(clip(word, maxBadWord), "\uFFFD"))
			}
		}
	}
	return ids, bad
}

func separates(r rune) bool {
	return r <= ' ' || r == ',' || r == ';' || r == '\u00a0' || r == '\ufeff' || r == '\u3000' || r == '，' || r == '；'
}

// workshopID reads one word: a number, or a URL such as
//
//	https://steamcommunity.com/sharedfiles/filedetails/?id=121086524&searchtext=
//	steamcommunity.com/workshop/filedetails/?id=121086524
//	steam://url/CommunityFilePage/121086524
//
// id is empty when it is neither; link says that it is a URL.
func workshopID(word string) (id string, link bool) {
	if digits := strings.TrimLeft(word, "0"); IsWorkshopID(digits) {
		return digits, false
	}
	if page, found := strings.CutPrefix(word, "steam://openurl/"); found {
		word = page
	}
	if !strings.Contains(word, "://") {
		word = "https://" + word
	}
	u, err := url.Parse(word)
	if err != nil {
		return "", false
	}
	switch u.Scheme {
	case "steam":
		if rest, found := strings.CutPrefix(strings.ToLower(u.Host+u.Path), "url/communityfilepage/"); found {
			id = strings.Trim(rest, "/")
		}
	case "http", "https":
		host := strings.TrimPrefix(strings.ToLower(u.Host), "www.")
		path := strings.Trim(strings.ToLower(u.Path), "/")
		if host == "steamcommunity.com" && (path == "sharedfiles/filedetails" || path == "workshop/filedetails") {
			id = u.Query().Get("id")
		}
	}
	if !IsWorkshopID(id) {
		return "", false
	}
	return id, true
}
