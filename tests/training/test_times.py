"""Times that are found by rules."""

import random
import re
import unicodedata

import pytest
from distillex_training.data import times
from distillex_training.data.times import find_times

# Each time stands between brackets.
MARKED = [
    # dates
    "[2024年6月1日]上市。",
    "[1977 年 8 月 16 日]生于台中",
    "于[12月25日]发布",
    "[8月]的天气，[8月底]开学",
    "俄罗斯国防部[3日]称，俄军[21日]撤离",
    "[13号]有没有优惠，我[5月4号]买的",
    "发表于[2018-07-30]，更新于[2019/3/5]和[2018.7.1]",
    "编号[20190326]的公告",
    "[二〇二四年三月十二日]的晚会",
    "[农历三月初三]祭祖，[正月十五]看灯",
    "[2024年闰六月]，[腊月二十三]小年",
    # years, decades, centuries
    "[1997年]回归，[一九九七年]毕业，[08年]结婚，[零八年]离婚",
    "他[16年]就退役了",
    "[2026年底]竣工，[2020年度]利润，[2023 财年]",
    "[上世纪80年代]的歌，[90年代]的人，[1930年代初]的画报",
    "[20世纪60年代]以来，[十九世纪末]的铁路，[21世纪]的城市",
    "[936年]称帝，[公元前221年]统一，秦始皇崩（[前210年]）",
    "中国第一辆（[2013]）",
    "[2024]世界动力电池大会闭幕",
    # relative
    "[昨天下午三点]见面，[今晚八点]直播，[明早八点]的闹钟",
    "[上周五]收盘，[下个星期一]开会，[本周末]出发，[周末]加班",
    "[本月底]到期，[上个月]的工资，[去年]买的，[今年9月底]",
    "[同年3月]离任，[次日凌晨]抵达，[当天]返回，[当日]放款",
    "[今年的九月]很热，记得[2023 年的春节]",
    "[今年冬季]放送，[今夏]最火",
    "[第三季度]盈利，[上半年]亏损，[前三季度]持平，[一季度末]反弹",
    "[去年同期]增长，[上年同期]下降",
    "[年底]发奖，[岁末]清仓",
    # holidays
    "[春节]回家，[双十一]囤货，[双 11] 期间，[618]买的，[国庆]假期",
    "[五一]去哪，[十一]黄金周，[中秋节]放假，[除夕]守岁，[冬至]吃饺子",
    "[2001年春节]之前",
    # dynasties and eras
    "[唐代]的诗，[清末]的官，[北宋]的瓷，[明清]的家具，[三国时期]的人",
    "[光绪元年]设县，[民国35年]（[1946年]），[清朝康熙年间]的大学士",
    "[癸卯年]，[兔年]",
    # clock times
    "[6 月 7 日 8 点整]，[10时44分]发射，[7点10分]退房，[七点钟]起床",
    "[早上九点半]到，[下午一点多]才送，[零时9分9秒]",
    "[7 月 6 日 00:09]，营业到[22:30]",
    "[4月6日中午1点半左右]",
    # ranges
    "[2018.07-2021.03]，[2015.3-2018.6]任职，[2021.04-至今]，[2018.7.1-2019.3.31]",
    "[2015年至今]，[2010年1月至今]",
    "[6月1日至6月10日]，[8 月 16 日至 17 日]，[2012年11月至2024年9月]",
    "[2010-2014]，[2005-2008年]，[1999 到 2000 年]，[1950-1970 年代]",
    "[9:00-17:00]开放，[周一至周五]上班",
    "[5 到 6 日]降温，[8~9月]涨水，[9、10月]收获",
    "[2005年至2010年间]编写",
    "[2 日 10 时许]，[10月2日10时30分]，[28日4时56]去世",
    "[周六日]休息，[上周5]到货，[一月7号]下单，[7.15日]入住，[第二天下午]收到",
    "欢乐喜剧人,[150530],一站到底[151123]_超清",
    "[一季末]持仓，[第四季]净利，[2022年第一季]，[本赛季]，[前10月]",
    "[960年]，赵匡胤称帝，[明永乐时期]，[北魏]的石窟",
    # two times
    "[今天]（[4月22日]）是个好日子",
    # traditional, full width
    "[昨天下午三點]見面，[民國三十五年]出生，[上週五]、[國慶]、[光緒元年]",
    "[２０２４年６月１日]，[１０：００]",
]
NOTHING = [
    "等了三天，两年来，10分钟后，半小时，20年的经验，5-10年，10年来，250年历史",
    "每天跑步，每周五休息，每周日祷告，每天早上8点起床，每月15日还款，一日3次，三天两头",
    "现在，目前，近日，日前，当时，后来，以前，将来，最近，未来，近年来",
    "中午吃饭，早上下雨，晚上睡觉，下午茶，秋天的叶子，夏天太热",
    "3:2获胜，比分21:15战胜对手，2:0领先",
    "3.14，1/8决赛，2.5万元，版本1.9.0，版本号3.493",
    "电话13812345678，QQ288190979，010-62751201，1949-19870",
    "人民路13号3号楼，坐5号线，嫦娥六号，神舟十九号，5号电池",
    "有一点贵，一点都不甜，这一点十分重要，跌了12点，3点建议，这4点原因",
    "3日内送达，7日游，近5日，连升5日，行拘7日，三十日内，5个工作日",
    "6个月，9月龄，三个月，五月天的歌，第三季",
    "日本海军，是日本人，同日本外相，充当日军主力，注明日期",
    "周围的人，周末双休，一周三次，周六福珠宝，周一围，上周围环境差，本周期",
    "后天努力，先天后天，声明代表立场，100元代金券，《唐朝诡事录》，《今日说法》，《2017东西南北》",
    "借款2000元，2000多万，2019元，2020款，500年前，一千年，百年老店，十年",
    "五一广场，李国庆和王重阳，圣诞老人，21世纪经济报道，清明上河图",
    "相当周到，隔周一期，如今日渐，蔡国庆，不可同日而语，圣诞岛，连续三个季度，第六次年度会议，夜幕低垂，第二天就坏了",
    "每年都来，那年，年轻人，成年人，青年节目",
    "",
]


def marked(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Return a text without its brackets, and what stood between them."""
    plain, spans, start = "", [], 0
    for character in text:
        if character == "[":
            start = len(plain)
        elif character == "]":
            spans.append((start, len(plain)))
        else:
            plain += character
    return plain, spans


@pytest.mark.parametrize("text", MARKED)
def test_times_are_found_whole(text):
    plain, spans = marked(text)
    assert [plain[start:end] for start, end in find_times(plain)] == [plain[start:end] for start, end in spans]
    assert find_times(plain) == spans


@pytest.mark.parametrize("text", NOTHING)
def test_what_has_no_concrete_reference_is_no_time(text):
    assert [text[start:end] for start, end in find_times(text)] == []


def test_offsets_are_code_points_behind_characters_of_other_planes():
    text = "🎉𠮷野家🎉今天开业"
    assert find_times(text) == [(5, 7)]
    assert text[5:7] == "今天"


def test_the_look_at_the_first_character_hides_no_time():
    unguarded = re.compile(times._ALTERNATIVES)
    for text in MARKED:
        plain = marked(text)[0]
        assert [m.span() for m in times._ATOM.finditer(plain)] == [m.span() for m in unguarded.finditer(plain)]
    assert times._ATOM.groups == len(times._RULES)


def test_spans_lie_in_the_text_without_overlaps_and_have_clean_edges():
    generator = random.Random(1)
    pieces = [piece for text in (*MARKED, *NOTHING) for piece in marked(text)[0]]
    found = 0
    for _ in range(3000):
        # Runs of the texts above, cut at any place and glued.
        parts = []
        for _ in range(4):
            begin = generator.randrange(len(pieces))
            parts.append("".join(pieces[begin : begin + generator.randrange(1, 9)]))
        text = generator.choice(("", " ", "，", "至", "-", "的")).join(parts)
        spans = find_times(text)
        found += len(spans)
        ends = [0, *(place for span in spans for place in span), len(text)]
        assert ends == sorted(ends), text
        for start, end in spans:
            assert start < end
            for edge in (text[start], text[end - 1]):
                assert unicodedata.category(edge)[0] not in "PSZC", (text, text[start:end])
    assert found > 3000
