import Testing

@testable import Web

struct TableTests {
    @Test func `a table has a caption for screen readers, and heads of its columns`() {
        let html = dataTable("Users", [Column("Name"), Column("Plan", isMinor: true)], [[HTML("Ada"), tag("pro")]]).text
        #expect(
            html
                == #"<table><caption class="hidden">Users</caption><thead><tr><th scope="col">Name</th>"#
                + #"<th scope="col" class="minor">Plan</th></tr></thead><tbody><tr><td>Ada</td>"#
                + #"<td class="minor"><span class="tag">pro</span></td></tr></tbody></table>"#)
    }

    @Test func `a table says what may be left out, broken and stacked where the screen is narrow`() {
        let columns = [Column("A", isLong: true), Column("B", isMinor: true, isLong: true)]
        let html = dataTable("C", columns, [[HTML("1"), HTML("2")]], isStacked: true).text
        #expect(html.hasPrefix(#"<table class="stacked">"#))
        #expect(html.contains(#"<td class="long">1</td><td class="minor long">2</td>"#))
    }

    @Test func `a column of figures ends at its right side`() {
        let html = dataTable("C", [.figures("A"), .figures("B", isMinor: true)], [[HTML("1"), HTML("2")]]).text
        #expect(html.contains(#"<td class="figures">1</td><td class="minor figures">2</td>"#))
    }

    @Test func `a price has the title of its column next to it`() {
        let html = dataTable("C", [Column("A"), .prices("B")], [[HTML("1"), HTML("2")]], isStacked: true).text
        #expect(html.contains(#"<td>1</td><td class="price" data-label="B">2</td>"#))
    }

    @Test func `a switch marks the view that is shown`() {
        let html = segments("Period", [("30 days", "/a"), ("90 days", "/a?days=90")], current: "/a").text
        #expect(
            html == #"<nav class="segments" aria-label="Period"><a href="/a" aria-current="true">30 days</a>"#
                + #"<a href="/a?days=90">90 days</a></nav>"#)
    }

    @Test func `a pager has the pages that exist`() {
        let viewer = Viewer.test()
        #expect(pager(viewer, first: nil, next: nil).isEmpty)
        let first = pager(viewer, first: nil, next: "/a?cursor=b").text
        #expect(first == #"<nav class="pager" aria-label="Pages"><a href="/a?cursor=b">Next page</a></nav>"#)
        let last = pager(.test(.th), first: "/a", next: nil).text
        #expect(last == #"<nav class="pager" aria-label="หน้า"><a href="/a">หน้าแรก</a></nav>"#)
    }
}
