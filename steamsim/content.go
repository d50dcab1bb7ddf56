package steamsim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"unicode/utf16"
)

// spread is the size of the nth made item: between 60 KB and 142 MB, evenly over
// the orders of magnitude (steps of the golden ratio leave no gaps).
func spread(n uint64) int64 {
	const smallest, largest = 60e3, 142e6
	_, share := math.Modf(float64(n) * 0.6180339887498949)
	return int64(smallest * math.Pow(largest/smallest, share))
}

// content is the item's VPK.
func (it item) content() *blob {
	version := uint32(1)
	if it.odd == oddVersion {
		version = 2
	}
	files := it.files()
	for _, fault := range it.faults {
		files = spoilFiles(fault, files)
	}
	return packVPK(version, files)
}

// files is what lies in the item's VPK. Its size is made up by the maps, or by
// one large file where there are none.
func (it item) files() []packed {
	n := newNoise(mix(it.id, 5000+uint64(it.revision)))
	files := []packed{literal("addoninfo.txt", it.addonInfo())}
	for _, m := range it.missions {
		files = append(files, literal("missions/"+m.name+".txt", it.missionText(m)))
		for i, name := range m.maps {
			// Chapters differ in size; a finale is the largest.
			share := it.size / int64(len(it.missions)*len(m.maps)) * int64(90+5*i) / 100
			files = append(files, packed{path: "maps/" + name + ".bsp", content: bsp(n, share+int64(it.revision)*512)})
			nav := new(blob)
			nav.add([]byte("\xce\xfa\xed\xfe\x10\x00\x00\x00"))
			nav.addNoise(n, 4096+int64(mix(it.id, uint64(i))%8192))
			files = append(files, packed{path: "maps/" + name + ".nav", content: nav})
		}
		vtf := new(blob)
		vtf.add([]byte("VTF\x00\x07\x00\x00\x00\x02\x00\x00\x00"))
		vtf.addNoise(n, 21_000)
		files = append(files,
			packed{path: "materials/vgui/maps/menu/" + m.name + ".vtf", content: vtf},
			literal("materials/vgui/maps/menu/"+m.name+".vmt", "\"UnlitGeneric\"\n{\n\t\"$basetexture\" \"vgui/maps/menu/"+m.name+"\"\n}\n"))
	}
	switch it.kind {
	case kindSkin:
		big := new(blob)
		big.addNoise(n, it.size)
		files = append(files, packed{path: "materials/models/survivors/" + it.slug() + "/body.vtf", content: big},
			literal("materials/models/survivors/"+it.slug()+"/body.vmt", "\"VertexLitGeneric\"\n{\n}\n"))
	case kindScript:
		big := new(blob)
		big.addNoise(n, it.size)
		files = append(files, packed{path: "sound/" + it.slug() + "/ambience.wav", content: big},
			literal("scripts/vscripts/"+it.slug()+".nut", "// "+it.title+"\nfunction OnGameplayStart() {}\n"))
	}
	switch it.odd {
	case oddGlobal:
		files = append(files, literal("scripts/vscripts/mapspawn_addon.nut", "printl(\"on every map\")\n"),
			literal("scripts/weapon_rifle.txt", "WeaponData\n{\n\t\"clip_size\" \"120\"\n}\n"))
	case oddGBK:
		// "Survivor" in GBK, which is not valid UTF-8.
		files = append(files, literal("materials/\xd0\xd2\xb4\xe6\xd5\xdf/a.vmt", "// named in GBK\n"))
	case oddHidden:
		for i := range 40 {
			files = append(files, literal(fmt.Sprintf("materials/models/survivors/extra/%02d/part%d.vmt", i, i), "// part\n"))
		}
	}
	return files
}

// bsp is a map: a header that says VBSP 21 with empty lumps, and noise.
func bsp(n *noise, size int64) *blob {
	head := make([]byte, 1036) // ident, version, 64 lumps of 16 bytes, revision
	copy(head, "VBSP")
	head[4] = 21
	b := new(blob)
	b.add(head)
	b.addNoise(n, max(size-int64(len(head)), 4096))
	return b
}

func (it item) addonInfo() string {
	campaign := 0
	if len(it.missions) > 0 {
		campaign = 1
	}
	if it.odd == oddSloppy {
		return fmt.Sprintf("AddonInfo // hand made\n{\n\taddonSteamAppID 550\n\tADDONTITLE \"%s\"\n\taddonversion %d\n\taddonauthor %s\n\taddonContent_Campaign %d\n\taddonDescription \"no end of quote\n}\n",
			it.title, it.revision, strings.Fields(it.author)[0], campaign)
	}
	return fmt.Sprintf("\"AddonInfo\"\n{\n\t\"addonSteamAppID\"\t\"550\"\n\t\"addontitle\"\t\"%s\"\n\t\"addonversion\"\t\"%d.0\"\n\t\"addonauthor\"\t\"%s\"\n\t\"addontagline\"\t\"Simulated\"\n\t\"addonDescription\"\t\"Made on the fly.\"\n\t\"addonContent_Campaign\"\t\"%d\"\n}\n",
		it.title, it.revision, it.author, campaign)
}

func (it item) missionText(m mission) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\"mission\"\n{\n\t\"Name\"\t\"%s\"\n\t\"Version\"\t\"%d\"\n\t\"Author\"\t\"%s\"\n\t\"DisplayTitle\"\t\"%s\"\n\t\"Description\"\t\"Four people, %d maps.\"\n\t\"Image\"\t\"vgui/maps/menu/%s\"\n\t\"modes\"\n\t{\n",
		m.name, it.revision, it.author, m.title, len(m.maps), m.name)
	for _, mode := range m.modes {
		fmt.Fprintf(&b, "\t\t\"%s\"\n\t\t{\n", mode)
		for i, name := range m.maps {
			space := "\t"
			if it.odd == oddSloppy && i == 1 {
				space = "" // "Map""x": the engine skips such a map
			}
			fmt.Fprintf(&b, "\t\t\t\"%d\"\n\t\t\t{\n\t\t\t\t\"Map\"%s\"%s\"\n\t\t\t\t\"DisplayName\"\t\"%d: %s\"\n\t\t\t\t\"Image\"\t\"vgui/maps/menu/%s\"\n\t\t\t}\n", i+1, space, name, i+1, partNames[i%len(partNames)], m.name)
		}
		b.WriteString("\t\t}\n")
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}

// spoilFiles applies a fault that lies in what was packed.
func spoilFiles(fault string, files []packed) []packed {
	switch fault {
	case "missing_parts":
		for i := range files {
			if strings.HasSuffix(files[i].path, ".bsp") {
				files[i].archive = 1
			}
		}
	case "out_of_bounds":
		files[len(files)-1].offset = 1 << 30
	case "escaping_names":
		files = append(files, literal("../../../cfg/server.cfg", "rcon_password \"pwned\"\n"), literal("/etc/cron.d/x.txt", "* * * * * root true\n"))
	case "many_entries":
		for i := range vpkMaxEntries + 1 {
			files = append(files, packed{path: fmt.Sprintf("materials/n/%06d.vmt", i), content: new(blob)})
		}
	}
	return files
}

// spoilContent applies a fault that lies in the bytes of the file.
func spoilContent(fault string, b *blob) *blob {
	out := new(blob)
	switch fault {
	case "zip":
		out.add(zipOf(packed{path: "campaign.vpk", content: b}))
	case "rar":
		out.add([]byte("Rar!\x1a\x07\x01\x00"))
		out.addBlob(b)
	case "seven_zip":
		out.addBlob(sevenZip("campaign.vpk", b))
	case "corrupt_tree":
		// The header is right, and the tree breaks off in the middle of an entry.
		head := bytes.Clone(b.parts[0].data)
		copy(head[12+(len(head)-12)/2:], bytes.Repeat([]byte{0xFF}, 64))
		binary.LittleEndian.PutUint32(head[8:], uint32(12+(len(head)-12)/2))
		out.add(head)
		for _, p := range b.parts[1:] {
			out.addBlob(&blob{parts: []part{p}, size: p.size})
		}
	case "not_vpk":
		out.addNoise(newNoise(77), b.size)
	case "empty_file":
	default:
		return b
	}
	return out
}

// utf16z is a name as 7z stores it.
func utf16z(s string) []byte {
	var out []byte
	for _, u := range append(utf16.Encode([]rune(s)), 0) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}
