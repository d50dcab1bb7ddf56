package steamsim

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The workshop of the simulation is a function of the id: nothing is stored, and
// steamcmd, the Web API and the file host agree without talking to each other.
//
// Items:
//
//	3100000001 … 3100000012   chosen ones: see wellKnown
//	3110000001 …              each has one fault of its own: see faultNames
//	3300000001 … 3300099999   made from the number: campaigns, skins, scripts, 60 KB to 142 MB
//	121086524, 698857882,     ids that instructions and scripts on the net name
//	2524204971
//
// Collections:
//
//	3200000001   five small campaigns, to try things with
//	3200000002   a nested one: the first, and three items more
//	3200000003   contains 3200000004, which contains 3200000003
//	3200000005   empty
//	3200000006   nested twelve deep
//	3200000007   one item of every fault
//	1626503425   the one that a script on the net names: three items
//	3200000100   120 items, 2 GB in all: nested twice, the innermost points back at
//	             the outermost, five items faulty in different ways
//	3400000001 … 34000nnnnn   the first nnnnn of the made ones
const (
	firstChosen    = 3100000001
	firstFaulty    = 3110000001
	firstMade      = 3300000001
	lastMade       = firstMade + 99998
	firstSet       = 3400000001
	lastSet        = firstSet + 99998
	starterSet     = 3200000001
	nestedSet      = 3200000002
	cyclicSet      = 3200000003
	cyclicSetOther = 3200000004
	emptySet       = 3200000005
	deepSet        = 3200000006
	namedSet       = 1626503425
	faultySet      = 3200000007
	bigSet         = 3200000100
	deepFirst      = 3200000200 // the sets below deepSet
	deepLevels     = 12
)

// item is one thing in the workshop.
type item struct {
	id       uint64
	kind     itemKind
	title    string
	author   string
	tags     []string
	size     int64    // what its maps, or its largest file, are made up to
	faults   []string // that it always has
	missions []mission
	odd      oddity
	revision int
}

type itemKind string

const (
	kindCampaign itemKind = "campaign"
	kindSurvival itemKind = "survival map"
	kindSkin     itemKind = "skin"
	kindScript   itemKind = "script"
)

// oddity is something in an item's VPK that is legal and makes trouble.
type oddity string

const (
	oddSloppy  oddity = "sloppy key values" // unquoted, glued, commented
	oddGBK     oddity = "names in GBK"
	oddGlobal  oddity = "global scripts" // that run on every map
	oddVersion oddity = "VPK version 2"
	oddHidden  oddity = "files in many folders"
)

// mission is a campaign in an item.
type mission struct {
	name, title string
	maps        []string
	modes       []string
}

// wellKnown are the chosen items.
var wellKnown = []item{
	{id: 3100000001, kind: kindCampaign, title: "Rust Harbor", size: 3 << 20},
	{id: 3100000002, kind: kindCampaign, title: "Cold Chapel", size: 24 << 20},
	{id: 3100000003, kind: kindSurvival, title: "Lighthouse Stand", size: 900 << 10},
	{id: 3100000004, kind: kindCampaign, title: "Paper Mill", size: 2 << 20, odd: oddVersion},
	{id: 3100000005, kind: kindCampaign, title: "Two Rivers", size: 5 << 20}, // two campaigns in one file
	{id: 3100000006, kind: kindCampaign, title: "Last Ferry", size: 1 << 20},
	{id: 3100000007, kind: kindCampaign, title: "Last Ferry (Fixed)", size: 1 << 20}, // the same maps as the one before
	{id: 3100000008, kind: kindScript, title: "Endless Hordes", size: 90 << 10, odd: oddGlobal},
	{id: 3100000009, kind: kindCampaign, title: "Bad Quotes", size: 700 << 10, odd: oddSloppy},
	{id: 3100000010, kind: kindCampaign, title: "\u5e7d\u7075\u8239 Ghost Ship", size: 800 << 10, odd: oddGBK},
	{id: 3100000011, kind: kindSkin, title: "Yellow Raincoat", size: 1500 << 10, odd: oddHidden},
	{id: 3100000012, kind: kindCampaign, title: "The Long Drive", size: 420 << 20},
	{id: 121086524, kind: kindCampaign, title: "Urban Flight", size: 1 << 20},
	{id: 698857882, kind: kindScript, title: "Admin System", size: 220 << 10},
	{id: 2524204971, kind: kindScript, title: "Admin Menu", size: 140 << 10},
}

var (
	placeFirst  = []string{"Dead", "Silent", "Burning", "Hollow", "Broken", "Drowned", "Rotten", "Black", "Frozen", "Forgotten", "Crimson", "Iron", "Pale", "Sunken", "Bitter", "Ashen", "Crooked", "Quiet", "Northern", "Second"}
	placeSecond = []string{"Harbor", "Ridge", "Chapel", "Station", "Orchard", "Quarry", "Mill", "Causeway", "Terminal", "Hospital", "Cannery", "Valley", "Motel", "Refinery", "Carnival", "Viaduct", "Sanatorium", "Plaza", "Ferry", "Airfield"}
	partNames   = []string{"Outskirts", "Alleys", "Tunnels", "Rooftops", "Warehouse", "Crossing", "Yard", "Finale"}
	authorNames = []string{"mapsmith", "Nurse Joy", "zoey_fan", "Kestrel", "brushwork", "N. Ferreira", "taank", "Ole"}
	skinWords   = []string{"Raincoat", "Chainsaw", "Medkit", "Witch", "Boomer", "Pipe Bomb", "Laser Sight", "Guitar"}
	scriptWords = []string{"Loot Tuner", "Bot Fixes", "Spawn Limits", "Weather", "Ammo Piles", "Survivor AI"}
)

// pick is a choice that depends on id and salt alone.
func pick(list []string, id, salt uint64) string { return list[mix(id, salt)%uint64(len(list))] }

// mix spreads two numbers over 64 bits (the finalizer of SplitMix64).
func mix(a, b uint64) uint64 {
	z := a + b*0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// findItem returns the item with an id, in the given revision.
func findItem(id uint64, revision int) (item, bool) {
	it, ok := describeItem(id)
	if !ok {
		return item{}, false
	}
	it.revision = min(max(revision, 1), 1<<15)
	if it.author == "" {
		it.author = pick(authorNames, id, 1)
	}
	it.tags = map[itemKind][]string{
		kindCampaign: {"Campaigns", "Co-op", "Versus"}, kindSurvival: {"Survival", "Single Map"},
		kindSkin: {"Survivors", "Models"}, kindScript: {"Scripts", "Mutations"},
	}[it.kind]
	it.missions = it.makeMissions()
	return it, true
}

func describeItem(id uint64) (item, bool) {
	for _, it := range wellKnown {
		if it.id == id {
			return it, true
		}
	}
	switch {
	case id >= firstFaulty && id < firstFaulty+uint64(len(faultNames)):
		fault := faultNames[id-firstFaulty]
		title := "Faulty: " + strings.ReplaceAll(fault, "_", " ")
		return item{id: id, kind: kindCampaign, title: title, size: 1 << 20, faults: []string{fault}}, true
	case id >= firstMade && id <= lastMade:
		return madeItem(id), true
	}
	return item{}, false
}

// madeItem is a numbered item. Sizes spread evenly over the orders of magnitude,
// so that any hundred in a row come to about 1.7 GB.
func madeItem(id uint64) item {
	it := item{id: id, kind: kindCampaign, size: spread(id - firstMade + 1)}
	switch mix(id, 2) % 10 {
	case 0, 1:
		it.kind = kindSkin
		it.title = pick(placeFirst, id, 3) + " " + pick(skinWords, id, 4)
	case 2:
		it.kind = kindScript
		it.title = pick(placeFirst, id, 3) + " " + pick(scriptWords, id, 4)
	case 3:
		it.kind = kindSurvival
		it.title = pick(placeFirst, id, 3) + " " + pick(placeSecond, id, 4) + " Survival"
	default:
		it.title = pick(placeFirst, id, 3) + " " + pick(placeSecond, id, 4)
	}
	return it
}

func (it item) makeMissions() []mission {
	switch it.id {
	case 121086524:
		return []mission{{"uf", it.title, []string{"uf1_boulevard", "uf2_rooftops", "uf3_harbor", "uf4_airfield"}, []string{"coop", "versus"}}}
	case 3100000005:
		return []mission{
			{"tworivers_east", "Two Rivers: East", []string{"tre1_dam", "tre2_woods", "tre3_bridge"}, []string{"coop", "versus", "survival"}},
			{"tworivers_west", "Two Rivers: West", []string{"trw1_town", "trw2_locks"}, []string{"coop", "scavenge"}},
		}
	case 3100000006, 3100000007:
		return []mission{{"lastferry", "Last Ferry", []string{"lf1_pier", "lf2_deck"}, []string{"coop", "versus"}}}
	}
	slug := it.slug()
	switch it.kind {
	case kindCampaign:
		var maps []string
		for i := range 2 + mix(it.id, 5)%4 {
			maps = append(maps, fmt.Sprintf("%s_m%d_%s", slug, i+1, strings.ToLower(partNames[mix(it.id, 6+i)%uint64(len(partNames))])))
		}
		return []mission{{slug, it.title, maps, []string{"coop", "versus"}}}
	case kindSurvival:
		return []mission{{slug, it.title, []string{slug + "_arena"}, []string{"survival"}}}
	}
	return nil
}

// slug is the item's name in file names; the number keeps two apart.
func (it item) slug() string {
	s := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return -1
	}, strings.ToLower(it.title))
	return s + strconv.FormatUint(it.id%1000, 10)
}

// at is the item in another revision, with the same faults.
func (it item) at(revision int) item {
	other, _ := findItem(it.id, revision)
	other.faults = it.faults
	return other
}

func (it item) idText() string { return strconv.FormatUint(it.id, 10) }

// filename is what the author called the file; older uploads carry a folder.
func (it item) filename() string {
	if it.id%3 == 0 {
		return "myl4d2addons/" + it.slug() + ".vpk"
	}
	return it.slug() + ".vpk"
}

// created is a day between 2012 and 2024; each revision came a day later.
func (it item) created() time.Time {
	return time.Unix(1_325_376_000+int64(mix(it.id, 20)%378_000_000), 0).UTC()
}

func (it item) updated() time.Time {
	return it.created().Add(time.Duration(it.revision) * 24 * time.Hour)
}

// handle is Steam's number of the file: another one after each update.
func (it item) handle() uint64 { return makeHandle(it.id, it.revision) }

// previewRevision is that of a handle of a preview image.
const previewRevision = 0

// A handle is 61 bits that hold the id and the revision, scrambled by a
// multiplication with an odd number, which can be undone.
const (
	handleTop  = uint64(1) << 60
	handleMask = handleTop - 1
	handleMul  = uint64(0x9E3779B97F4A7C15)
)

func makeHandle(id uint64, revision int) uint64 {
	return ((id<<16|uint64(revision))*handleMul)&handleMask | handleTop
}

func readHandle(handle uint64) (id uint64, revision int) {
	inverse := handleMul // right to 3 bits; each step doubles that
	for range 5 {
		inverse *= 2 - handleMul*inverse
	}
	plain := (handle & handleMask) * inverse & handleMask
	return plain >> 16, int(plain & 0xFFFF)
}

// filePath is where the file host has the file.
func filePath(handle uint64) string {
	return fmt.Sprintf("/ugc/%d/%016X%016X%08X/", handle, mix(handle, 1), mix(handle, 2), uint32(mix(handle, 3)))
}

// collection is a list of items and of other collections.
type collection struct {
	id       uint64
	title    string
	children []uint64
}

func idRange(first uint64, n int) []uint64 {
	ids := make([]uint64, n)
	for i := range ids {
		ids[i] = first + uint64(i)
	}
	return ids
}

// fixedCollections are the collections with a number of their own.
var fixedCollections = map[uint64]collection{
	starterSet:     {title: "Five small campaigns", children: []uint64{3100000001, 3100000004, 3100000005, 3100000006, 3100000003}},
	nestedSet:      {title: "Friday nights", children: []uint64{starterSet, 3100000002, 3100000011, 121086524}},
	cyclicSet:      {title: "Chicken", children: []uint64{3100000001, cyclicSetOther}},
	cyclicSetOther: {title: "Egg", children: []uint64{3100000003, cyclicSet}},
	emptySet:       {title: "Coming soon"},
	namedSet:       {title: "Maps we play", children: []uint64{3100000006, 3100000003, 121086524}},
	faultySet:      {title: "One of every fault", children: idRange(firstFaulty, len(faultNames))},
	bigSet: {title: "Everything we ever played", children: slices.Concat(idRange(firstMade, 40), []uint64{bigSet + 1},
		[]uint64{faultyID("removed"), faultyID("wrong_app")})},
	bigSet + 1: {title: "Season two", children: slices.Concat(idRange(firstMade+40, 40), []uint64{bigSet + 2, faultyID("zip")})},
	bigSet + 2: {title: "Season three", children: slices.Concat(idRange(firstMade+80, 35), []uint64{bigSet, faultyID("corrupt_tree"), faultyID("truncated")})},
}

// faultyID is the item that always has the fault; 0 when there is no such fault.
func faultyID(fault string) uint64 {
	if i := slices.Index(faultNames, fault); i >= 0 {
		return firstFaulty + uint64(i)
	}
	return 0
}

func findCollection(id uint64) (collection, bool) {
	c, ok := fixedCollections[id]
	switch {
	case ok:
	case id == deepSet, id > deepFirst && id < deepFirst+deepLevels:
		level := uint64(0)
		if id != deepSet {
			level = id - deepFirst
		}
		c = collection{title: fmt.Sprintf("Level %d", level), children: []uint64{firstMade + level}}
		if level+1 < deepLevels {
			c.children = append(c.children, deepFirst+level+1)
		}
	case id >= firstSet && id <= lastSet:
		n := int(id - firstSet + 1)
		c = collection{title: fmt.Sprintf("The first %d", n), children: idRange(firstMade, n)}
	default:
		return collection{}, false
	}
	c.id = id
	return c, true
}

// Known lists what is worth trying, one line each: id, what it is, bytes.
func Known() []string {
	var out []string
	for _, it := range wellKnown {
		it, _ = findItem(it.id, 1)
		what := string(it.kind)
		if it.odd != "" {
			what += ", " + string(it.odd)
		}
		out = append(out, fmt.Sprintf("%-12d %11d  %s (%s)", it.id, it.content().size, it.title, what))
	}
	for i, name := range faultNames {
		out = append(out, fmt.Sprintf("%-12d %11s  faulty: %s", firstFaulty+i, "", name))
	}
	out = append(out, fmt.Sprintf("%d…%05d %6s  made from the number, 60 KB to 142 MB", uint64(firstMade), uint64(lastMade%100000), ""))
	for _, id := range append(slices.Sorted(maps.Keys(fixedCollections)), deepSet) {
		c, _ := findCollection(id)
		out = append(out, fmt.Sprintf("%-12d %11s  collection: %s (%d entries)", id, "", c.title, len(c.children)))
	}
	return append(out, fmt.Sprintf("%d+n  %9s  collection: the first n+1 made ones", uint64(firstSet), ""))
}
