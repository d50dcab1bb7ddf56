package webui

import (
	"hash/fnv"
	"strconv"
	"strings"
)

// campaigns are the official ones, in the order of their map prefixes c1 to c14.
var campaigns = [...]string{
	"Dead Center", "Dark Carnival", "Swamp Fever", "Hard Rain", "The Parish", "The Passing", "The Sacrifice",
	"No Mercy", "Crash Course", "Death Toll", "Dead Air", "Blood Harvest", "Cold Stream", "The Last Stand",
}

// mapTitle is a map as players call it, such as "Dark Carnival, 1" for
// c2m1_highway, and a number from 0 to 13 that chooses its colour. A map that is
// not official keeps its own name.
func mapTitle(name string) (title string, hue int) {
	rest, ok := strings.CutPrefix(name, "c")
	number, chapter, ok2 := strings.Cut(rest, "m")
	chapter, _, _ = strings.Cut(chapter, "_")
	c, err1 := strconv.Atoi(number)
	m, err2 := strconv.Atoi(chapter)
	if ok && ok2 && err1 == nil && err2 == nil && c >= 1 && c <= len(campaigns) && m > 0 && m < 10 {
		return campaigns[c-1] + " · " + strconv.Itoa(m), c - 1
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // a hash does not fail
	return name, int(h.Sum32() % uint32(len(campaigns)))
}
